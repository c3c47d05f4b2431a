// SPDX-License-Identifier: MPL-2.0

package catalog

import "syscall"

// endWithHost makes the kernel kill the process when the thread that started it ends. So
// that thread must live as long as the host: the supervisor's goroutine is locked to it.
func endWithHost() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
