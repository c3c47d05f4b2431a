// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writableByAll is the permission of all accounts to write.
const writableByAll fs.FileMode = 0o002

// locate returns the path of a command with all links resolved. It must be an executable
// file in the plugin directory. A link out of the directory would let the owner of the
// other place decide what runs. So would a file or directory that every account may write:
// it can change between the checksum and the start.
func locate(dir, command string) (string, error) {
	if dir == "" {
		return "", invalid("there is no plugin directory: set plugin_directory in the server's configuration")
	}
	if err := checkCommand(command); err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", invalid("the plugin directory %q cannot be read: %w", dir, err)
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", invalid("the plugin directory %q cannot be read: %w", dir, err)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(root, command))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", invalid("the command %q does not exist in the plugin directory %q: install the file there on every node",
			command, dir)
	case err != nil:
		return "", invalid("the command %q in the plugin directory %q cannot be read: %w", command, dir, err)
	case filepath.Dir(path) != root:
		return "", invalid("the command %q is a link out of the plugin directory %q: put the file itself there", command, dir)
	}
	folder, err := os.Stat(root)
	if err != nil {
		return "", invalid("the plugin directory %q cannot be read: %w", dir, err)
	}
	if folder.Mode().Perm()&writableByAll != 0 {
		return "", invalid("every account may write in the plugin directory %q, so any of them decides what runs: run "+
			"chmod o-w on it", dir)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", invalid("the command %q in the plugin directory %q cannot be read: %w", command, dir, err)
	case !info.Mode().IsRegular():
		return "", invalid("the command %q in the plugin directory %q is not a file", command, dir)
	case info.Mode().Perm()&writableByAll != 0:
		return "", invalid("every account may write the command %q in the plugin directory %q: run chmod o-w on it", command,
			dir)
	case info.Mode().Perm()&0o111 == 0:
		return "", invalid("the command %q in the plugin directory %q is not executable: run chmod +x on it", command, dir)
	}
	return path, nil
}

// SumFile is the SHA-256 checksum of a file in lower-case hexadecimal.
func SumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func verify(e *Entry, path string) error {
	sum, err := SumFile(path)
	if err != nil {
		return invalid("the file of plugin %q cannot be read: %w", e.Name, err)
	}
	if sum != e.SHA256 {
		return checksumError(e)
	}
	return nil
}

func checksumError(e *Entry) error {
	return invalid("the file %q of plugin %q does not have the registered sha256 %s: register the checksum of the file "+
		"that is installed, or install the file that was registered", e.Command, e.Name, e.SHA256)
}
