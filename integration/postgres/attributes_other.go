// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package postgres

import "syscall"

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
