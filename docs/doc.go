// SPDX-License-Identifier: MPL-2.0

// Package docs holds the documents. Its tests keep them true where a program can tell.
package docs
