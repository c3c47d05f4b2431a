// SPDX-License-Identifier: MPL-2.0

package main

import (
	"cmp"
	"go/ast"
	"maps"
	"slices"
)

// references are the names that the files of a package declare and use. They are told
// apart by their spelling alone: a name that two files declare is left out.
type references struct {
	// declares has the files that declare a name, uses the names that a file uses.
	declares, uses map[string]map[string]bool
}

func (r *references) add(path string, f *ast.File) {
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			r.declare(path, d.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					r.declare(path, s.Name)
				case *ast.ValueSpec:
					r.declare(path, s.Names...)
				}
			}
		}
	}
	r.uses[path] = map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok {
			r.uses[path][name.Name] = true
		}
		return true
	})
}

func (r *references) declare(path string, names ...*ast.Ident) {
	for _, name := range names {
		if r.declares[name.Name] == nil {
			r.declares[name.Name] = map[string]bool{}
		}
		r.declares[name.Name][path] = true
	}
}

// to returns the files that each file refers to.
func (r *references) to() map[string]map[string]bool {
	to := map[string]map[string]bool{}
	for path, names := range r.uses {
		to[path] = map[string]bool{}
		for name := range names {
			for at := range r.declares[name] {
				if len(r.declares[name]) == 1 && at != path {
					to[path][at] = true
				}
			}
		}
	}
	return to
}

// back counts the references from file to file, and those that run back when the files
// are put in an order in which few do. The order is that of Eades, Lin and Smyth: who
// refers most to others and is referred to least comes first.
func (r *references) back() (all, back int) {
	to := r.to()
	rest, place := slices.Sorted(maps.Keys(to)), map[string]int{}
	surplus := func(path string) (out, in int) {
		for _, other := range rest {
			if to[path][other] {
				out++
			}
			if to[other][path] {
				in++
			}
		}
		return out, in
	}
	first, last := 0, len(rest)
	for len(rest) > 0 {
		i := slices.IndexFunc(rest, func(path string) bool { out, _ := surplus(path); return out == 0 })
		if i >= 0 {
			last--
			place[rest[i]] = last
		} else {
			top := slices.MaxFunc(rest, func(a, b string) int {
				outA, inA := surplus(a)
				outB, inB := surplus(b)
				return cmp.Compare(outA-inA, outB-inB)
			})
			i = slices.Index(rest, top)
			place[top] = first
			first++
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for path, others := range to {
		for other := range others {
			all++
			if place[other] < place[path] {
				back++
			}
		}
	}
	return all, back
}

// namesMode tells whether a file names one of the modes.
func namesMode(f *ast.File) (names bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := s.X.(*ast.Ident)
		names = names || ok && x.Name == "replication" && (s.Sel.Name == "DR" || s.Sel.Name == "Performance")
		return true
	})
	return names
}
