// SPDX-License-Identifier: MPL-2.0

package node

import "syscall"

// freeBytes is how much this process may still write in the file system of a folder.
func freeBytes(folder string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
