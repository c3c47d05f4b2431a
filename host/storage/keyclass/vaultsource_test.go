// SPDX-License-Identifier: MPL-2.0

package keyclass_test

import (
	"encoding/json"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// Each core key that Vault's source names has a row in the table. So this test finds a key of a newer Vault before a
// cluster loses it.
func TestEveryKeyThatVaultNamesHasARow(t *testing.T) {
	t.Parallel()
	// No package that is tested here links Vault, so it may not have been fetched.
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/hashicorp/vault")
	download.Env = append(os.Environ(), "GOWORK=off")
	out, err := download.Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	var classes keyclass.Classifier
	found := 0
	for _, part := range []string{"vault", "physical", "helper", "command", "http", "audit"} {
		err := filepath.WalkDir(filepath.Join(module.Dir, part),
			func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
					return err
				}
				for _, key := range coreKeys(t, path) {
					found++
					if classes.Class(key) == keyclass.Unknown {
						t.Errorf("%s names the key %q: give it a row in table.go", path, key)
					}
				}
				return nil
			})
		require.NoError(t, err)
	}
	require.Greater(t, found, 30, "Vault names its keys in another way now")
}

// coreKeys are the strings of a file that look like keys of the core.
func coreKeys(t *testing.T, path string) (keys []string) {
	t.Helper()
	source, err := os.ReadFile(path)
	require.NoError(t, err)
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile(path, -1, len(source)), source, nil, 0)
	for {
		_, tok, text := s.Scan()
		switch {
		case tok == token.EOF:
			return keys
		case tok != token.STRING:
			continue
		}
		if key, err := strconv.Unquote(text); err == nil && strings.HasPrefix(key, "core/") && key != "core/" &&
			!strings.ContainsAny(key, " %") {
			keys = append(keys, key)
		}
	}
}
