// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A document that names a test as proof must not outlive it.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	written, definition := map[string]bool{}, regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	named, name := map[string]string{}, regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w*)`")
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		test, document := strings.HasSuffix(path, "_test.go"), strings.HasSuffix(path, ".md")
		if !test && !document {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if test {
			for _, m := range definition.FindAllStringSubmatch(string(content), -1) {
				written[m[1]] = true
			}
			return nil
		}
		for _, m := range name.FindAllStringSubmatch(string(content), -1) {
			named[m[1]], _ = filepath.Rel(root, path)
		}
		return nil
	}))
	require.NotEmpty(t, named)
	maps.DeleteFunc(named, func(test, _ string) bool { return written[test] })
	require.Empty(t, named, "tests that documents name and that do not exist")
}
