// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package catalog

import "syscall"

// endWithHost has no counterpart here: a replication plugin ends with its
// attachment.
func endWithHost() *syscall.SysProcAttr { return nil }
