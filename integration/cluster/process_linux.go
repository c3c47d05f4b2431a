// SPDX-License-Identifier: MPL-2.0

package cluster

import "syscall"

// processAttributes put the server in a process group of its own, and end it
// when the process that started it is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
