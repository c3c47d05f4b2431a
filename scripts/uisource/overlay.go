// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// embedded is the folder that the server embeds. In this tree it has a page that says how to build the real one.
const embedded = "host/internal/webui/page"

// overlay writes the file by which the go command takes the page for that folder: no file of it is in the tree. The
// flag is for the go command. Without a page there is none, and nothing is written.
func overlay(page, file string) (flag string, err error) {
	if _, err := os.Stat(filepath.Join(page, note)); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	root, err := filepath.Abs(embedded)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	err = filepath.WalkDir(page, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(page, path)
		replace[filepath.Join(root, name)] = path
		return err
	})
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	if err != nil {
		return "", err
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	return "-overlay=" + file, write(file, string(text)+"\n")
}
