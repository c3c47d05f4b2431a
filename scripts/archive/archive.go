// SPDX-License-Identifier: MPL-2.0

// Package archive packs a folder so that the same files make the same bytes, whoever packs them, where and when.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// Modes of what is packed: those of the files may be of a umask.
const (
	plain      = 0o644
	executable = 0o755
)

// Write packs all that is in dir below a folder of that name. Everything was changed at the given time and belongs to
// root. The names are in order.
func Write(to io.Writer, dir, name string, at time.Time, level int) error {
	zipped, err := gzip.NewWriterLevel(to, level)
	if err != nil {
		return err
	}
	packed := tar.NewWriter(zipped)
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return add(packed, root, file, path.Join(name, file), entry, at)
	})
	return errors.Join(err, packed.Close(), zipped.Close())
}

func add(packed *tar.Writer, root fs.FS, file, name string, entry fs.DirEntry, at time.Time) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, ModTime: at.UTC().Truncate(time.Second), Mode: plain}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name, header.Mode = tar.TypeDir, name+"/", executable
		return packed.WriteHeader(header)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a folder: an archive has nothing else", file)
	case info.Mode()&0o111 != 0:
		header.Mode = executable
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := packed.WriteHeader(header); err != nil {
		return err
	}
	content, err := root.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	_, err = io.Copy(packed, content)
	return err
}
