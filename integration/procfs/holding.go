// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Anonymous is one process's resident memory that no file backs, in bytes: its heap and
// stacks.
func Anonymous(pid int) (uint64, error) { return fromStatus(pid, "RssAnon") }

// Peak is the most memory that one process has held at a time, in bytes.
func Peak(pid int) (uint64, error) { return fromStatus(pid, "VmHWM") }

// fromStatus reads a size that the kernel gives in KiB.
func fromStatus(pid int, name string) (uint64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(raw) {
		value, ok := bytes.CutPrefix(line, []byte(name+":"))
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))), 10, 64)
		return kib << 10, err
	}
	return 0, fmt.Errorf("/proc/%d/status has no line %s", pid, name)
}

// Descriptors is how many files, sockets and pipes one process has open.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}
