// SPDX-License-Identifier: MPL-2.0

package smalldisk

import (
	"fmt"
	"syscall"
)

func mount(dir string, size int) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%d,mode=700", size))
}

// unmount also takes the file system away from a process that still has a file open.
func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
