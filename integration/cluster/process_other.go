// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package cluster

import "syscall"

// processAttributes put the server in a process group of its own. Only Linux can
// also end it with its parent.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
