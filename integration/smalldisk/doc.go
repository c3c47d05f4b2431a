// SPDX-License-Identifier: MPL-2.0

// Package smalldisk gives a test a file system of its own that it can fill.
package smalldisk
