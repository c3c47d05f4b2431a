// SPDX-License-Identifier: MPL-2.0

// Package wholefile writes the rows of file storage so that a cut write leaves no other row.
//
// Vault writes a row into a file beside it, with its name and some digits, and renames the file. A kill in between, or
// a full disk, leaves the file, and each listing shows it as a row that nobody has written. No reader can tell it from
// a row, because "name12" may be a name as well. So this package writes the file in a directory that no listing shows.
// The next start removes what a cut write has left there. Vault's own code reads, lists and removes rows. A write is
// as durable as Vault's: neither asks the disk to store it at once.
package wholefile

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/go-secure-stdlib/permitpool"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
)

const (
	// unfinished is a directory of the storage. No key of Vault begins so. Stock Vault may list the directory, but finds
	// no row in it, because the names of the files lack Vault's mark.
	unfinished = ".unfinished/"
	// nameMax is the longest name that Vault's own way takes for sure. It leaves room for Vault's mark and digits.
	nameMax = 255 - 1 - 10
)

// Storage is file storage in which a row is there as a whole or not at all.
type Storage struct {
	*file.FileBackend

	dir     string
	permits *permitpool.Pool
}

// Over wraps the file storage in a directory. If no other node writes there, it removes what cut writes have left.
func Over(store *file.FileBackend, dir string, alone bool) (*Storage, error) {
	s := &Storage{store, dir, permitpool.New(physical.DefaultParallelOperations)}
	if !alone {
		return s, nil
	}
	return s, os.RemoveAll(filepath.Join(dir, unfinished))
}

// content is what Vault has in the file of a row.
type content struct{ Value []byte }

// Put implements physical.Backend.
func (s *Storage) Put(ctx context.Context, e *physical.Entry) error {
	// As many files as Vault opens at once.
	if err := s.permits.Acquire(ctx); err != nil {
		return err
	}
	defer s.permits.Release()
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.Contains(e.Key, "..") {
		return consts.ErrPathContainsParentReferences
	}
	row := filepath.Join(s.dir, e.Key)
	folder, name := filepath.Dir(row), filepath.Base(row)
	if len(name) > nameMax {
		return &os.PathError{Op: "create", Path: row, Err: syscall.ENAMETOOLONG}
	}
	part, err := s.write(e.Value)
	if err != nil {
		return err
	}
	// Vault removes folders that are empty, under the same lock.
	s.Lock()
	defer s.Unlock()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	err = os.Rename(part, filepath.Join(folder, "_"+name))
	if err == nil {
		return nil
	}
	if gone := os.Remove(part); gone != nil || !errors.Is(err, syscall.EXDEV) {
		return errors.Join(err, gone)
	}
	// The folder is on another file system, or in another quota. Vault's own way works there.
	return s.PutInternal(ctx, e)
}

// write makes the file of a row out of sight.
func (s *Storage) write(value []byte) (string, error) {
	aside := filepath.Join(s.dir, unfinished)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(aside, "")
	if err != nil {
		return "", err
	}
	if err := errors.Join(json.NewEncoder(f).Encode(content{value}), f.Close()); err != nil {
		// A part that stays would fill a full disk further.
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// List implements physical.Backend.
func (s *Storage) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := s.FileBackend.List(ctx, prefix)
	if strings.Trim(prefix, "/") == "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name == unfinished })
	}
	return names, err
}
