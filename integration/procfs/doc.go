// SPDX-License-Identifier: MPL-2.0

// Package procfs reads memory, descriptors and processor time of a server and the plugins it
// started from /proc.
package procfs
