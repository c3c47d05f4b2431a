// SPDX-License-Identifier: MPL-2.0

package catalog

import "syscall"

// endWithHost makes the kernel kill the process when the thread that started it
// ends. The thread must therefore stay as long as the host: the supervisor's
// goroutine is locked to its thread.
func endWithHost() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
