// SPDX-License-Identifier: MPL-2.0

package postgres

import "syscall"

// attributes end the server with the test. SIGINT and not SIGKILL: the
// postmaster has to end its own children.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT} }
