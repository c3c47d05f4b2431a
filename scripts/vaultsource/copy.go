// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/vault-replication/vault-replication/scripts/textedit"
)

// source is a module of the module cache with the edits that are made to a copy of it.
type source struct {
	dir   string
	edits []edit
	added map[string]string
}

// files are the names of all files that the copy has.
func (s source) files() ([]string, error) {
	names, err := dirhash.DirFiles(s.dir, "")
	if err != nil {
		return nil, err
	}
	for name := range s.added {
		if slices.Contains(names, name) {
			return nil, fmt.Errorf("%s is in Vault itself: scripts/vaultsource must not add a file of that name", name)
		}
	}
	for _, e := range s.edits {
		if !slices.Contains(names, e.File) {
			return nil, fmt.Errorf("there is no file %s in Vault, which scripts/vaultsource edits because %s", e.File, e.Why)
		}
	}
	return slices.AppendSeq(names, maps.Keys(s.added)), nil
}

// open is a file as the copy has it.
func (s source) open(name string) (io.ReadCloser, error) {
	if text, ok := s.added[name]; ok {
		return io.NopCloser(bytes.NewReader([]byte(text))), nil
	}
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	if !slices.ContainsFunc(s.edits, func(e edit) bool { return e.File == name }) {
		return os.Open(path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if content, err = textedit.Apply(s.edits, name, content); err != nil {
		return nil, fmt.Errorf("scripts/vaultsource/edits.go: %w", err)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// copyTo has a copy at dir: one that is there, if it is what a new one would be, or a new one.
func (s source) copyTo(dir string) (made bool, err error) {
	names, err := s.files()
	if err != nil {
		return false, err
	}
	want, err := dirhash.Hash1(names, s.open)
	if err != nil {
		return false, err
	}
	switch have, err := dirhash.HashDir(dir, "", dirhash.Hash1); {
	case err == nil && have == want:
		return false, nil
	case err == nil:
		return false, fmt.Errorf("%s was changed after it was made: remove it and run make prepare again", dir)
	case !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return false, err
	}
	// A copy that was cut must not have the name of a whole one, and two clones may make it at once.
	part, err := os.MkdirTemp(filepath.Dir(dir), "part-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(part) }()
	for _, name := range names {
		if err := s.write(part, name); err != nil {
			return false, err
		}
	}
	if have, err := dirhash.HashDir(part, "", dirhash.Hash1); err != nil || have != want {
		return false, errors.Join(fmt.Errorf("the copy at %s is not what was written there", part), err)
	}
	if err := os.Rename(part, dir); err == nil {
		return true, nil
	}
	have, err := dirhash.HashDir(dir, "", dirhash.Hash1)
	if err == nil && have != want {
		err = fmt.Errorf("%s has something else: remove it", dir)
	}
	return false, err
}

func (s source) write(dir, name string) error {
	in, err := s.open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	// As in the module cache: nobody edits it by chance.
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
