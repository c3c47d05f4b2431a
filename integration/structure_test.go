// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/vault-replication/vault-replication"

// server are the packages of Vault that only the host may link.
var server = []string{
	"github.com/hashicorp/vault/vault", "github.com/hashicorp/vault/http", "github.com/hashicorp/vault/command",
}

// The contract depends on neither side, and a plugin never links the server nor
// reaches into the host: the same rules as depguard's, also through others.
func TestPackagesDependInOneDirection(t *testing.T) {
	t.Parallel()
	forbidden := map[string][]string{
		"./shared/...": append([]string{module + "/host", module + "/plugin"}, server...),
		"./plugin/...": append([]string{module + "/host"}, server...),
	}
	for pattern, prefixes := range forbidden {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			for pkg, deps := range dependencies(t, pattern) {
				for _, dep := range deps {
					for _, prefix := range prefixes {
						require.False(t, dep == prefix || strings.HasPrefix(dep, prefix+"/"), "%s imports %s", pkg, dep)
					}
				}
			}
		})
	}
}

// dependencies are all packages that the packages of a pattern link.
func dependencies(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, line := range goList(t, `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, pattern) {
		fields := strings.Fields(line)
		out[fields[0]] = fields[1:]
	}
	require.NotEmpty(t, out)
	return out
}

func goList(t *testing.T, format, pattern string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", format, pattern)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// Unexported state of Vault is reached in one package.
func TestOnlyPinnedIsUnsafe(t *testing.T) {
	t.Parallel()
	found := 0
	eachGoFile(t, func(path string, content []byte) {
		direct := strings.Contains(string(content), "\n\t\"unsafe\"\n") ||
			strings.Contains(string(content), "import \"unsafe\"") ||
			strings.Contains(string(content), "\n//go:"+"linkname ") || strings.Contains(string(content), "\n\t_ \"unsafe\"")
		if !direct || generated(content) {
			return
		}
		found++
		require.Equal(t, filepath.Join("host", "internal", "vaultcore", "internal", "pinned"), filepath.Dir(path),
			"%s is unsafe", path)
	})
	require.NotZero(t, found, "the package itself is found")
}

// Every file says its licence first, and every package what it is.
func TestFilesAndPackagesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	eachGoFile(t, func(path string, content []byte) {
		first, _, _ := strings.Cut(string(content), "\n")
		if !generated(content) {
			require.Equal(t, "// SPDX-License-Identifier: MPL-2.0", first, path)
		}
	})
	for _, line := range goList(t, "{{.ImportPath}}|{{.Doc}}", "./...") {
		pkg, doc, _ := strings.Cut(line, "|")
		if !strings.Contains(pkg, "/proto/") {
			require.NotEmpty(t, doc, "%s has no package documentation", pkg)
		}
	}
}

func generated(content []byte) bool {
	return bytes.Contains(content, []byte("// Code generated ")) && bytes.Contains(content, []byte("DO NOT EDIT."))
}

func eachGoFile(t *testing.T, visit func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "bin" || name == "testdata" || (strings.HasPrefix(name, ".") && name != "..")) {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		visit(relative, content)
		return nil
	})
	require.NoError(t, err)
}
