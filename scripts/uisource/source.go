// SPDX-License-Identifier: MPL-2.0

package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/scripts/textedit"
)

// own is our own part of the page, and what its client is made by: another page comes out where one is changed.
//
//go:embed page absent.txt lock.txt client.go openapi.go operations.go
var own embed.FS

var sourceEdits = slices.Concat(replicationEdits, wordEdits, packageEdits, lockEdits)

// added are the files that the source of the page has beside Vault's, by their names there.
func added() (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(own, "page", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := own.ReadFile(path)
		name, _ := filepath.Rel("page", path)
		files[name] = string(text)
		return err
	})
	return files, err
}

// identity differs wherever another page would come out.
func identity(version string) (string, error) {
	files, err := added()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"absent.txt", "lock.txt", "client.go", "openapi.go", "operations.go"} {
		text, err := own.ReadFile(name)
		if err != nil {
			return "", err
		}
		files["/"+name] = string(text)
	}
	return "ui@" + version + "-" + textedit.Identity(slices.Concat(sourceEdits, installedEdits), files), nil
}

// testsIdentity differs wherever other tests of the page would come out.
func testsIdentity(version string) (string, error) {
	page, err := identity(version)
	return strings.Replace(page, "ui@", "ui-tests@", 1) + "-" + textedit.Identity(testEdits, nil), err
}

// editTests has the vendor's tests at dir as they are to be: edited, and with the token root to log in with.
func editTests(from, dir string) error {
	for _, e := range testEdits {
		text, err := os.ReadFile(filepath.Join(from, e.File))
		if err != nil {
			return err
		}
		if text, err = textedit.Apply(testEdits, e.File, text); err != nil {
			return fmt.Errorf("scripts/uisource/edits.go: %w", err)
		}
		if err := write(filepath.Join(dir, e.File), string(text)); err != nil {
			return err
		}
	}
	return write(filepath.Join(dir, "tests", "helpers", "vault-keys.js"),
		"export default { unsealKeys: [], rootToken: \"root\" };\n")
}

// makeSource copies Vault's source of the page to dir, with our edits and our own part.
func makeSource(from, dir string) error {
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return err
	}
	if err := editFiles(dir, sourceEdits); err != nil {
		return err
	}
	files, err := added()
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("%s is in Vault itself: scripts/uisource/page must not have a file of that name", name)
		}
		if err := write(path, text); err != nil {
			return err
		}
	}
	return nil
}

// editFiles makes edits in the files below dir.
func editFiles(dir string, edits []edit) error {
	done := map[string]bool{}
	for _, e := range edits {
		if done[e.File] {
			continue
		}
		done[e.File] = true
		path := filepath.Join(dir, e.File)
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("there is no file that scripts/uisource/edits.go edits because %s: %w", e.Why, err)
		}
		if text, err = textedit.Apply(edits, e.File, text); err != nil {
			return fmt.Errorf("scripts/uisource/edits.go: %w", err)
		}
		if err := write(path, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// pin has the lock file at path name the packages of lock.txt.
func pin(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changes, err := own.ReadFile("lock.txt")
	if err != nil {
		return err
	}
	l := parseLock(string(text))
	if err := l.change(string(changes)); err != nil {
		return err
	}
	return write(path, l.String())
}

// editedLock is Vault's lock file with lockEdits alone.
func editedLock(text []byte) (lock, error) {
	text, err := textedit.Apply(lockEdits, "yarn.lock", text)
	return parseLock(string(text)), err
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// note is the file of a page that is ready, with its name. It is written last.
const note = "vault-replication.txt"

// keep has what ember built at dir, as the page of that name.
func keep(built, dir string) error {
	if _, err := os.Stat(filepath.Join(built, "index.html")); err != nil {
		return fmt.Errorf("ember built no page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	// A copy that was cut must not have the name of a whole one.
	part, err := os.MkdirTemp(filepath.Dir(dir), "part-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(part) }()
	if err := os.CopyFS(part, os.DirFS(built)); err != nil {
		return err
	}
	if err := write(filepath.Join(part, note), filepath.Base(dir)+"\n"); err != nil {
		return err
	}
	if err := os.Rename(part, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// size is how many files and bytes are below dir.
func size(dir string) (files int, bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	return files, bytes, err
}
