// SPDX-License-Identifier: MPL-2.0

package main

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// module is one that is linked, and where its source is.
type module struct{ Path, Version, Dir string }

func (m module) String() string { return m.Path + "@" + m.Version }

// notice is the name of a file that goes with what is made of the source beside it.
var notice = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|copyright|notice|patents)([.-].*)?$`)

// readme is what says something of a module that has no such file.
var readme = regexp.MustCompile(`^README\.md$`)

// code is what has such a name and is none.
var code = []string{".go", ".json", ".js", ".ts", ".hbs", ".scss", ".tmpl", ".sh", ".bats"}

// withoutFile are modules that have no licence file, and what they say instead. Their README is copied.
var withoutFile = map[string]string{
	"github.com/aliyun/aliyun-oss-go-sdk": "its README names the Apache License 2.0",
	"github.com/couchbase/goprotostellar": "it names no licence; Vault links it through the client of Couchbase, " +
		"which is under the Apache License 2.0",
}

// licencesOf copies the licences of the modules that are in the binaries, and that of Go itself.
func licencesOf(ctx context.Context, to string, binaries []string) error {
	dirs, err := folders(ctx)
	if err != nil {
		return err
	}
	linked := map[string]module{}
	for _, binary := range binaries {
		info, err := buildinfo.ReadFile(binary)
		if err != nil {
			return fmt.Errorf("reading what is linked into %s: %w", binary, err)
		}
		linked["go"] = module{"go", info.GoVersion, runtime.GOROOT()} //nolint:staticcheck // go run sets it
		for _, dep := range info.Deps {
			linked[dep.Path] = module{dep.Path, dep.Version, dirs[dep.Path]}
		}
	}
	modules := slices.SortedFunc(maps.Values(linked), func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return copyAll(modules, to)
}

// folders are where the go command has the modules of this build.
func folders(ctx context.Context) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-json=Path,Dir", "all")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the modules: %w", err)
	}
	dirs := map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m module
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return dirs, nil
		} else if err != nil {
			return nil, err
		}
		dirs[m.Path] = m.Dir
	}
}

// copyAll is an error for a module that has no licence, if nobody has looked into it.
func copyAll(modules []module, to string) error {
	var without []string
	said := "Licences of what is linked into the binaries, one folder for each module.\n"
	for _, m := range modules {
		if m.Dir == "" {
			return fmt.Errorf("the source of %v is not here", m)
		}
		n, err := copyOf(m, to, notice)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		known, ok := withoutFile[m.Path]
		if !ok {
			without = append(without, m.String())
			continue
		}
		said += fmt.Sprintf("\n%v has no licence file: %s.\n", m, known)
		if _, err := copyOf(m, to, readme); err != nil {
			return err
		}
	}
	if len(without) > 0 {
		return fmt.Errorf("no licence was found in %s: look what it says, and add it to scripts/release/licences.go",
			strings.Join(without, ", "))
	}
	return os.WriteFile(filepath.Join(to, "README"), []byte(said), 0o600)
}

// copyOf copies the files of a module whose names match, and says how many.
func copyOf(m module, to string, names *regexp.Regexp) (n int, err error) {
	// The folder of the copy of Vault may be a link.
	dir, err := filepath.EvalSymlinks(m.Dir)
	if err != nil {
		return 0, err
	}
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(m, file):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !names.MatchString(entry.Name()) || slices.Contains(code, path.Ext(entry.Name())):
			return nil
		}
		n++
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(m.String()), filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
	return n, err
}

// skipped are folders with nothing that is linked. Of Go all but the standard library is the compiler.
func skipped(m module, folder string) bool {
	base := path.Base(folder)
	return base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") && base != "." ||
		m.Path == "go" && folder != "."
}
