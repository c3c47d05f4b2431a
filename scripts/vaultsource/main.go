// SPDX-License-Identifier: MPL-2.0

// Command vaultsource makes the copy of Vault that the server is built from: the module that go.mod
// names, with a few lines edited, because no published sdk is exactly the one that it was made with
// (docs/adr/0033-a-copy-of-vault-with-edits.md).
//
// It writes go.work, by which all go commands in this tree take the copy. The copy is outside the
// tree, beside Go's own build cache, and the same for all clones: the go command compiles a package
// anew where its folder is another one. VAULT_SOURCE_CACHE names another place for it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/vault-replication/vault-replication/scripts/textedit"
)

const (
	module = "github.com/hashicorp/vault"
	header = "// Written by make prepare (scripts/vaultsource). Do not edit."
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "vaultsource:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	start := time.Now()
	found, err := download(ctx)
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "vault@"+found.Version+"-"+textedit.Identity(edits, added))
	made, err := source{found.Dir, edits, added}.copyTo(dir)
	if err != nil {
		return err
	}
	if made {
		fmt.Printf("==> copied Vault %s to %s in %.1f s, with %d lines edited\n", found.Version, dir,
			time.Since(start).Seconds(), len(edits))
	}
	return writeWorkspace(".", found.Version, dir)
}

// downloaded is what the go command says of a module.
type downloaded struct{ Version, Dir, Sum, Error string }

// download has the module in the module cache, as go.sum says that it is.
func download(ctx context.Context) (downloaded, error) {
	var found downloaded
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, &found); jsonErr != nil || found.Error != "" {
		return found, fmt.Errorf("cannot fetch %s: %w", module,
			errors.Join(err, jsonErr, errors.New(found.Error+stderr.String())))
	}
	// The go command compares the archive with go.sum, not the folder that it unpacks.
	sum, err := dirhash.HashDir(found.Dir, module+"@"+found.Version, dirhash.Hash1)
	if err == nil && sum != found.Sum {
		err = fmt.Errorf("%s was changed after it was fetched: run go clean -modcache", found.Dir)
	}
	return found, err
}

func cacheDir() (string, error) {
	if dir := os.Getenv("VAULT_SOURCE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where the copy of Vault is to be is not known, set VAULT_SOURCE_CACHE: %w", err)
	}
	return filepath.Join(dir, "vault-replication"), nil
}

// writeWorkspace writes go.work, if it is not there as it should be.
func writeWorkspace(root, version, dir string) error {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%s\n\ngo %s\n\nuse .\n\nreplace %s %s => %s\n", header, mod.Go.Version, module, version,
		modfile.AutoQuote(dir))
	path := filepath.Join(root, "go.work")
	have, err := os.ReadFile(path)
	switch {
	case err == nil && string(have) == want:
		return nil
	case err == nil && !strings.HasPrefix(string(have), header):
		return fmt.Errorf("%s is not one that vaultsource has written: move it away", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, []byte(want), 0o600); err != nil { //nolint:gosec // run names this project's own folder
		return err
	}
	return os.Rename(part, path)
}
