// SPDX-License-Identifier: MPL-2.0

// Command uisource makes Vault's own web page for this build: it copies the page's source out of the Vault module,
// edits the copy so that it shows the pages of replication, and puts code of our own in the place of what npm does
// not have (docs/adr/0036-vaults-own-web-page.md). scripts/ui.sh runs it, and builds the page with yarn and ember.
//
// A page that is ready is beside the copy of Vault that the server is built from. Its name has the version of Vault
// and a hash of all that uisource does, so that a changed edit makes another one. VAULT_UI_CACHE names another folder
// for it.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const usage = `usage: uisource page                  the folder of the page, whether it is there or not
       uisource overlay FILE          write what go build -overlay needs for the page; nothing when there is none
       uisource source DIR VAULT      make the source of the page at DIR, with a client for the server VAULT
       uisource pin DIR               have yarn.lock there name the packages of lock.txt
       uisource installed DIR         edit what yarn has installed there
       uisource keep DIR              keep what ember has built at DIR as the page
       uisource tests                 the folder of the vendor's built tests of the page, whether it is there or not
       uisource edit-tests DIR        edit the vendor's tests there, and have them log in with the token root
       uisource lock DIR              write lock.txt by what yarn has made of yarn.lock at DIR`

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "uisource:", err)
		os.Exit(1)
	}
}

// vault is the module that the server is built from.
type vault struct{ Version, Dir string }

// kept is the folder of what is made of it under a name.
func (v vault) kept(identity func(version string) (string, error)) (string, error) {
	name, err := identity(v.Version)
	if err != nil {
		return "", err
	}
	return filepath.Abs(filepath.Join(cmp.Or(os.Getenv("VAULT_UI_CACHE"), filepath.Dir(v.Dir)), name))
}

// arguments is how many each command has.
var arguments = map[string]int{
	"page": 0, "overlay": 1, "source": 2, "pin": 1, "installed": 1, "keep": 1, "tests": 0, "edit-tests": 1, "lock": 1,
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	command, args := args[0], args[1:]
	if n, ok := arguments[command]; !ok || n != len(args) {
		return errors.New(usage)
	}
	found, err := find(ctx)
	if err != nil {
		return err
	}
	page, err := found.kept(identity)
	if err != nil {
		return err
	}
	switch command {
	case "page":
		fmt.Println(page)
		return nil
	case "overlay":
		flag, err := overlay(page, args[0])
		if flag != "" {
			fmt.Println(flag)
		}
		return err
	case "source":
		return sourceWithClient(ctx, filepath.Join(found.Dir, "ui"), args[0], args[1])
	case "pin":
		return pin(filepath.Join(args[0], "yarn.lock"))
	case "installed":
		return editFiles(args[0], installedEdits)
	case "keep":
		return keepAndSay(args[0], page)
	case "tests":
		tests, err := found.kept(testsIdentity)
		fmt.Println(tests)
		return err
	case "edit-tests":
		return editTests(filepath.Join(found.Dir, "ui"), args[0])
	default:
		return writeLock(filepath.Join(found.Dir, "ui"), args[0])
	}
}

// find has the copy of Vault that make prepare made.
func find(ctx context.Context) (vault, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-json=Version,Replace", "github.com/hashicorp/vault")
	out, err := cmd.Output()
	if err != nil {
		return vault{}, fmt.Errorf("cannot find the module of Vault: %w", err)
	}
	var module struct {
		Version string
		Replace *struct{ Dir string }
	}
	if err := json.Unmarshal(out, &module); err != nil {
		return vault{}, err
	}
	if module.Replace == nil {
		return vault{}, errors.New("there is no copy of Vault yet: run make prepare first")
	}
	return vault{module.Version, module.Replace.Dir}, nil
}

func sourceWithClient(ctx context.Context, from, dir, binary string) error {
	if err := makeSource(from, dir); err != nil {
		return err
	}
	doc, err := document(ctx, binary)
	if err != nil {
		return err
	}
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	list, err := own.ReadFile("absent.txt")
	if err != nil {
		return err
	}
	absent := strings.Fields(string(list))
	text, methods, err := generate(doc, names, absent)
	if err != nil {
		return err
	}
	fmt.Printf("    %d edits; a client of %d methods, and %d of Enterprise that say they are not there\n",
		len(sourceEdits)+len(installedEdits), methods, len(absent))
	return write(filepath.Join(dir, "vault-client", "index.js"), text)
}

func keepAndSay(built, page string) error {
	if err := keep(built, page); err != nil {
		return err
	}
	files, bytes, err := size(page)
	fmt.Printf("    kept as %s: %d files, %.1f MB\n", page, files, float64(bytes)/1e6)
	return err
}

func writeLock(from, dir string) error {
	before, err := os.ReadFile(filepath.Join(from, "yarn.lock"))
	if err != nil {
		return err
	}
	after, err := os.ReadFile(filepath.Join(dir, "yarn.lock"))
	if err != nil {
		return err
	}
	edited, err := editedLock(before)
	if err != nil {
		return err
	}
	return write("scripts/uisource/lock.txt", edited.changesTo(parseLock(string(after))))
}
