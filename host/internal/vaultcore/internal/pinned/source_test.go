// SPDX-License-Identifier: MPL-2.0

package pinned

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const vaultModule = "github.com/hashicorp/vault"

// moduleDir is where the source of a module is that this one is built with.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// function is a function with its code.
type function struct {
	*ast.FuncDecl
	code []byte
}

// functionsOf are the functions of a package, "Name" or "(*Type).Name".
func functionsOf(t *testing.T, dir string) map[string]function {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	found := map[string]function{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			key := f.Name.Name
			if f.Recv != nil {
				key = "(" + text(t, f.Recv.List[0].Type) + ")." + key
			}
			found[key] = function{f, source[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset]}
		}
	}
	return found
}

// sum identifies the code of a function, whatever its comments and its spaces are.
func (f function) sum() string {
	h := sha256.New()
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(f.code)), f.code, nil, 0)
	for {
		_, tok, literal := s.Scan()
		switch {
		case tok == token.EOF:
			return fmt.Sprintf("%x", h.Sum(nil)[:6])
		case tok != token.SEMICOLON: // most are not written
			_, _ = fmt.Fprintln(h, tok, literal)
		}
	}
}

// text is a type as Go writes it.
func text(t *testing.T, node ast.Expr) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, printer.Fprint(&b, token.NewFileSet(), node))
	return b.String()
}

// types are the types of parameters or results, one for each name.
func types(t *testing.T, list *ast.FieldList) (all []string) {
	t.Helper()
	if list == nil {
		return nil
	}
	for _, f := range list.List {
		for range max(1, len(f.Names)) {
			all = append(all, strings.ReplaceAll(text(t, f.Type), "vault.", ""))
		}
	}
	return all
}

// The linker finds a function by its name alone: one that takes other parameters than are
// written down here would run, with whatever is in the registers.
func TestFunctionsTakeWhatIsWrittenDown(t *testing.T) {
	t.Parallel()
	theirs := functionsOf(t, filepath.Join(moduleDir(t, vaultModule), "vault"))
	source, err := os.ReadFile("linkname.go")
	require.NoError(t, err)
	ours := functionsOf(t, ".")
	link := regexp.MustCompile(`(?m)^//go:linkname (\w+) ` + regexp.QuoteMeta(vaultModule) + `/vault\.(\S+)$`)
	links := link.FindAllStringSubmatch(string(source), -1)
	require.Equal(t, bytes.Count(source, []byte("\n//go:linkname ")), len(links))
	for _, link := range links {
		mine, stock := ours[link[1]], theirs[link[2]]
		require.NotNil(t, stock.FuncDecl, link[2])
		require.Equal(t, append(types(t, stock.Recv), types(t, stock.Type.Params)...), types(t, mine.Type.Params), link[2])
		require.Equal(t, types(t, stock.Type.Results), types(t, mine.Type.Results), link[2])
	}
}

// A field that is used has to be on the list, with its type, and what is on the list is
// used.
func TestEveryFieldThatIsUsedIsExpected(t *testing.T) {
	t.Parallel()
	type use struct{ field, typ string }
	used := map[use]bool{}
	call := regexp.MustCompile(`Field\[([^\n]+?)\]\([^,\n]+, "(\w+)"\)|` +
		`(tree|packer)\((?:[^,\n"]+, )?"(\w+)"\)`)
	accessors := map[string]string{"tree": "*radix.Tree", "packer": "*storagepacker.StoragePacker"}
	require.NoError(t, filepath.WalkDir(filepath.Join("..", ".."), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range call.FindAllStringSubmatch(string(source), -1) {
			used[use{m[2] + m[4], m[1] + accessors[m[3]]}] = true
		}
		return nil
	}))
	require.NotEmpty(t, used)
	expected := map[use]bool{}
	for _, e := range expectations {
		expected[use{e.field, e.typ}] = true
	}
	for u := range used {
		require.True(t, expected[u], "the field %s is used as a %s, which is not on the list", u.field, u.typ)
	}
	for e := range expected {
		if !used[e] {
			t.Errorf("the field %s, a %s, is on the list and nothing uses it", e.field, e.typ)
		}
	}
}
