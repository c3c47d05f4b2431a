// SPDX-License-Identifier: MPL-2.0

// Command structure measures the shape of the code: the types with the most methods, the
// longest functions, files and lines of each package, the references between its files
// that run back, and the files that name a mode. It says before and after a change
// whether the parts have become smaller. It judges nothing.
//
// It measures the checkout that it is run in, or the one that is given:
//
//	go run ./scripts/structure [DIR]
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// most is how many types and packages are listed.
	most = 15
	// longFunction is from how many lines on a function is listed.
	longFunction = 70
)

// product are the directories of what is delivered.
var product = []string{"host", "plugin", "shared"}

// forTests are packages there that only tests import.
var forTests = []string{"enginetest", "replicationtest", "corpus"}

type count struct {
	name         string
	files, lines int
	// tokens are those of the code without its comments. Wrapping a line adds none.
	tokens int
	refs   references
}

type shape struct {
	methods, long, modes map[string]int
	packages             map[string]*count
}

func main() {
	s := shape{methods: map[string]int{}, long: map[string]int{}, modes: map[string]int{}, packages: map[string]*count{}}
	if len(os.Args) > 1 {
		if err := os.Chdir(os.Args[1]); err != nil {
			log.Fatal(err)
		}
	}
	for _, dir := range product {
		if err := filepath.WalkDir(dir, s.visit); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("methods of a type")
	list(s.methods, most)
	fmt.Printf("functions over %d lines\n", longFunction)
	list(s.long, len(s.long))
	packages := make([]*count, 0, len(s.packages))
	total := count{}
	for _, p := range s.packages {
		packages = append(packages, p)
		total.files, total.lines, total.tokens = total.files+p.files, total.lines+p.lines, total.tokens+p.tokens
	}
	slices.SortFunc(packages, func(a, b *count) int { return cmp.Compare(b.lines, a.lines) })
	fmt.Println("lines and files of a package")
	for _, p := range packages[:min(most, len(packages))] {
		fmt.Printf("%7d %4d  %s\n", p.lines, p.files, p.name)
	}
	fmt.Println("references between the files of a package, and how many of them run back")
	for _, p := range packages[:min(most, len(packages))] {
		all, back := p.refs.back()
		fmt.Printf("%7d %4d  %s\n", all, back, p.name)
	}
	fmt.Println("files that name a mode, by package: what a third mode would touch")
	list(s.modes, len(s.modes))
	modes := 0
	for _, n := range s.modes {
		modes += n
	}
	fmt.Printf("%7d  in all\n", modes)
	fmt.Printf("the product: %d tokens, %d lines in %d files of %d packages\n",
		total.tokens, total.lines, total.files, len(packages))
}

// visit measures one file, unless it is of tests or generated.
func (s *shape) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if d.IsDir() {
		if slices.Contains(forTests, d.Name()) {
			return filepath.SkipDir
		}
		return nil
	}
	if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
		return nil
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, source, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(f) {
		return nil
	}
	name := filepath.ToSlash(filepath.Dir(path))
	if s.packages[name] == nil {
		s.packages[name] = &count{name: name, refs: references{declares: map[string]map[string]bool{},
			uses: map[string]map[string]bool{}}}
	}
	s.packages[name].files++
	s.packages[name].lines += bytes.Count(source, []byte("\n"))
	s.packages[name].tokens += tokens(source)
	s.packages[name].refs.add(path, f)
	if namesMode(f) {
		s.modes[name]++
	}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			s.function(name, fn, files.Position(fn.End()).Line-files.Position(fn.Pos()).Line+1)
		}
	}
	return nil
}

func (s *shape) function(pkg string, fn *ast.FuncDecl, lines int) {
	name := pkg + "."
	if fn.Recv != nil {
		receiver := typeName(fn.Recv.List[0].Type)
		s.methods[name+receiver]++
		name += receiver + "."
	}
	if lines > longFunction {
		s.long[name+fn.Name.Name] = lines
	}
}

// tokens counts what the compiler reads, without the commas and signs that a wrapped line has more of.
func tokens(source []byte) int {
	var scan scanner.Scanner
	scan.Init(token.NewFileSet().AddFile("", -1, len(source)), source, nil, 0)
	for n := 0; ; {
		switch _, tok, _ := scan.Scan(); tok {
		case token.EOF:
			return n
		case token.SEMICOLON, token.COMMA, token.ADD:
			// A line that is wrapped may have one more of these.
		default:
			n++
		}
	}
}

// typeName is that of a receiver.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// list prints the largest, the largest first.
func list(of map[string]int, most int) {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), strings.Compare(a, b)) })
	for _, name := range names[:min(most, len(names))] {
		fmt.Printf("%7d  %s\n", of[name], name)
	}
}
