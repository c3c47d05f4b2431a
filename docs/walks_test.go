// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// walks are the headings of architecture.md that a list of stops is below.
var walks = []string{"### One write", "### One forwarded write", "### One change of role"}

// mostStops is how many stops a reader follows.
const mostStops = 12

// stop is a numbered line that begins with a file and a function: Function or Type.Method.
var stop = regexp.MustCompile("^\\d+\\. `([^`]+\\.go)` `([^`]+)`")

// TestStopsOfTheWalksExist finds a function that was renamed or moved and says where it is now.
func TestStopsOfTheWalksExist(t *testing.T) {
	t.Parallel()
	declared := functions(t, "host", "plugin", "shared")
	stops := map[string]int{}
	heading := ""
	for i, line := range strings.Split(read(t, "architecture.md"), "\n") {
		if strings.HasPrefix(line, "#") {
			heading = line
		}
		if !slices.Contains(walks, heading) || !regexp.MustCompile(`^\d+\. `).MatchString(line) {
			continue
		}
		stops[heading]++
		named := stop.FindStringSubmatch(line)
		if named == nil {
			t.Errorf("architecture.md:%d does not begin with `file.go` `Function` or `file.go` `Type.Method`", i+1)
			continue
		}
		file, function := named[1], named[2]
		if slices.Contains(declared[function], file) {
			continue
		}
		_, method, isMethod := strings.Cut(function, ".")
		if at := declared[function]; len(at) > 0 {
			t.Errorf("architecture.md:%d: %s is no longer in %s: name %s", i+1, function, file, strings.Join(at, " or "))
		} else if at := sameName(declared, method); isMethod && len(at) > 0 {
			t.Errorf("architecture.md:%d: there is no %s: perhaps it is now %s", i+1, function, strings.Join(at, " or "))
		} else {
			t.Errorf("architecture.md:%d: there is no %s in host, plugin or shared: name what does its work now", i+1, function)
		}
	}
	for _, heading := range walks {
		require.NotZero(t, stops[heading], "architecture.md has no stops below %q", heading)
		require.LessOrEqual(t, stops[heading], mostStops, "a reader follows %d stops: %q has more", mostStops, heading)
	}
}

// TestEveryPackageHasADuty keeps the tables of packages complete and without packages that are gone.
func TestEveryPackageHasADuty(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:host|plugin|shared)[^`]*)` \\|").FindAllStringSubmatch(
		read(t, "architecture.md"), -1) {
		rows[row[1]] = true
	}
	packages := map[string]bool{}
	for _, files := range functions(t, "host", "plugin", "shared") {
		for _, file := range files {
			if dir := filepath.ToSlash(filepath.Dir(file)); !strings.HasPrefix(dir, "shared/proto/") {
				packages[dir] = true
			}
		}
	}
	for dir := range packages {
		if !rows[dir] {
			t.Errorf("architecture.md says nothing of %s: give it a row below \"Layers and packages\"", dir)
		}
	}
	for dir := range rows {
		if !packages[dir] {
			t.Errorf("architecture.md has a row for %s, which is not there: take it out or name where its code is now", dir)
		}
	}
}

// sameName returns the methods of that name of any type, and functions, with their files.
func sameName(declared map[string][]string, name string) []string {
	var at []string
	for function, files := range declared {
		if function == name || strings.HasSuffix(function, "."+name) {
			at = append(at, function+" in "+strings.Join(files, ", "))
		}
	}
	slices.Sort(at)
	return at
}

// functions returns the files, from the root of the module, that declare a function. A method is named Type.Method.
func functions(t *testing.T, dirs ...string) map[string][]string {
	t.Helper()
	declared := map[string][]string{}
	root := os.DirFS("..")
	for _, dir := range dirs {
		require.NoError(t, fs.WalkDir(root, dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					name := fn.Name.Name
					if fn.Recv != nil {
						name = receiver(fn.Recv.List[0].Type) + "." + name
					}
					declared[name] = append(declared[name], path)
				}
			}
			return nil
		}))
	}
	return declared
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}
