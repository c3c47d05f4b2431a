// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	tableRow = regexp.MustCompile(`(?m)^\| (.+?) \|`)
	quoted   = regexp.MustCompile("`([^`]+)`")
	code     = regexp.MustCompile(`^\d{3} `)
	verb     = regexp.MustCompile(`%[+#]?[a-z]`)
)

// ofVault are sentences that the platform says, not this product.
var ofVault = []string{"Vault is sealed", "certificate signed by unknown authority", "tls: internal error"}

// An operator compares what a server says with the tables of the runbook, so the sentences there
// must stand in the code too. Where the code puts a value in, the document has a gap.
func TestRunbookQuotesWhatTheProductSays(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, root := range []string{"../host", "../plugin", "../shared"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text, ok := sentence(e)
				if ok {
					said.WriteString(verb.ReplaceAllString(text, "…") + "\n")
				}
				return !ok
			})
			return nil
		}))
	}
	for _, s := range ofVault {
		said.WriteString(s + "\n")
	}
	checked := 0
	for _, row := range tableRow.FindAllStringSubmatch(read(t, "runbook.md"), -1) {
		for _, quote := range quoted.FindAllStringSubmatch(row[1], -1) {
			for piece := range strings.SplitSeq(code.ReplaceAllString(quote[1], ""), "…") {
				piece = strings.Trim(piece, " :,.()")
				if len(strings.Fields(piece)) < 3 {
					continue // a word, a field, a command
				}
				checked++
				if !strings.Contains(said.String(), piece) {
					t.Errorf("runbook.md quotes %q, which the product does not say", piece)
				}
			}
		}
	}
	require.Greater(t, checked, 20)
}

// sentence is a string that is written in one or more literals.
func sentence(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, ok := sentence(e.X)
		right, also := sentence(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	}
	return "", false
}
