// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Dialled says whether a process holds one end of a connection of this machine, from the
// address near to the address far, and another process has accepted it.
func Dialled(pid int, near, far *net.TCPAddr) bool {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return false
	}
	inode := inodeOf(string(table), near, far)
	if inode == "" {
		return false
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

// inodeOf is the inode of a socket in a table of /proc/net/tcp, empty when there is none.
func inodeOf(table string, near, far *net.TCPAddr) string {
	for line := range strings.Lines(table) {
		// Number, local and remote address, and six more before the inode.
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[1] == hexAddr(near) && fields[2] == hexAddr(far) {
			return fields[9]
		}
	}
	return ""
}

// hexAddr is an IPv4 address as the kernel writes it on a little-endian machine.
func hexAddr(a *net.TCPAddr) string {
	ip := a.IP.To4()
	if ip == nil {
		return ""
	}
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}
