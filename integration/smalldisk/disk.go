// SPDX-License-Identifier: MPL-2.0

package smalldisk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a mounted file system.
type Disk struct {
	dir    string
	filler string
}

// Mount puts an empty file system of this many bytes over a folder until the test ends. It
// makes the folder if need be. Where mounting is not permitted the test is skipped.
func Mount(t testing.TB, dir string, size int) *Disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := mount(dir, size)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("a disk is filled on a file system that the test mounts, which is not permitted here (%v): run it as root "+
			"on Linux", err)
	}
	if err != nil {
		t.Fatalf("mounting a small file system at %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return &Disk{dir: dir, filler: filepath.Join(dir, "filler")}
}

// Fill writes a file until there is no space left.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	// Smaller and smaller, to the last byte.
	for size := 1 << 20; size > 0; size /= 16 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return errors.Join(err, f.Close())
		}
		err = nil
	}
	return f.Close()
}

// Free removes what Fill has written.
func (d *Disk) Free() error { return os.Remove(d.filler) }
