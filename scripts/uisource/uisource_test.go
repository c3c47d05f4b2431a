// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is Vault's page in the version that go.mod names, as its module has it.
func source(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/hashicorp/vault")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	return filepath.Join(module.Dir, "ui")
}

func text(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(content)
}

// Each edit has its place in the version that go.mod names, and what npm has not is named nowhere any more.
func TestSourceHasAllEdits(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ui")
	require.NoError(t, makeSource(source(t), dir))
	require.NoError(t, pin(filepath.Join(dir, "yarn.lock")))
	for _, e := range slices.Concat(sourceEdits, installedEdits) {
		require.NotEmpty(t, e.Why, e.File)
	}
	require.Contains(t, text(t, dir, "app", "services", "version.js"), "'DR Replication', 'Performance Replication'")
	require.Contains(t, text(t, dir, "app", "components", "app-footer.hbs"), "not by HashiCorp")
	require.Contains(t, text(t, dir, "vault-client", "runtime.js"), "export function api")
	for _, file := range []string{"package.json", "yarn.lock"} {
		for _, host := range []string{"meirish/", "\"hashicorp/vault-client-typescript", "github.com", "0.8.0.tgz"} {
			require.NotContains(t, text(t, dir, file), host, file)
		}
	}
	for _, entry := range parseLock(text(t, dir, "yarn.lock")).entries {
		_, resolution, _ := strings.Cut(entry, "resolution: ")
		require.Regexp(t, `^"[^"]+@(npm|workspace|link|patch):`, resolution, "nothing but npm's packages and our own")
	}
}

// The tests have names of their own: a page is not built again for them.
func TestVendorsTestsAreEdited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		require.NoError(t, editTests(source(t), dir), "also after a build that was cut")
		for _, e := range testEdits {
			require.Equal(t, 1, strings.Count(text(t, dir, e.File), e.New), e.File)
		}
		require.Contains(t, text(t, dir, "tests", "helpers", "vault-keys.js"), `rootToken: "root"`)
	}
	for _, e := range testEdits {
		require.NotEmpty(t, e.Why)
		require.NotContains(t, sourceEdits, e)
	}
	page, err := identity("v1")
	require.NoError(t, err)
	tests, err := testsIdentity("v1")
	require.NoError(t, err)
	require.Regexp(t, "^"+strings.Replace(page, "ui@", "ui-tests@", 1)+"-[0-9a-f]{12}$", tests)
}

func TestSourceSaysWhichEditHasNoPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	edits := []edit{{File: "app/a.js", Old: "one", New: "two", Why: "there are two"}}
	require.ErrorContains(t, editFiles(dir, edits), "there are two")
	require.NoError(t, write(filepath.Join(dir, "app", "a.js"), "other"))
	require.ErrorContains(t, editFiles(dir, edits), `app/a.js has "one" 0 times, not once`)
	require.Equal(t, "other", text(t, dir, "app", "a.js"))
	require.NoError(t, write(filepath.Join(dir, "app", "a.js"), "one"))
	require.NoError(t, editFiles(dir, edits))
	require.Equal(t, "two", text(t, dir, "app", "a.js"))
}

const head = "# This file is generated\n\n__metadata:\n  version: 6\n"

func TestLockChangesMakeOneFileOfAnother(t *testing.T) {
	t.Parallel()
	before := head + "\n\"@a/b@npm:1\":\n  version: 1.0.0\n\n\"c@npm:^2\":\n  version: 2.0.0\n\n\"d@npm:3\":\n" +
		"  version: 3.0.0\n"
	after := head + "\n\"@a/b@npm:1\":\n  version: 1.0.1\n\n\"c@npm:^2\":\n  version: 2.0.0\n\n\"cc@npm:1\":\n" +
		"  version: 1.0.0\n"
	require.Equal(t, before, parseLock(before).String())
	changes := parseLock(before).changesTo(parseLock(after))
	l := parseLock(before)
	require.NoError(t, l.change(changes))
	require.Equal(t, after, l.String())
	require.ErrorContains(t, l.change(changes), `no entry "d@npm:3":, which scripts/uisource/lock.txt leaves out`)
	require.ErrorContains(t, l.change("\"c@npm:^2\":\n  version: 2.1.0\n"), `has an entry "c@npm:^2":`)
}

const someDocument = `{
  "components": {"schemas": {"UnwrapRequest": {"properties": {
    "token": {"type": "string"}, "kind": {"enum": ["a-b", "c"]}}},
    "Answer": {"properties": {"until": {"format": "date-time"}, "name": {}}}}},
  "paths": {
    "/sys/unwrap": {"post": {"operationId": "unwrap", "tags": ["system"],
      "requestBody": {"required": true, "content": {"application/json": {"schema":
        {"$ref": "#/components/schemas/UnwrapRequest"}}}},
      "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}}}}},
    "/sys/a/{path}": {
      "parameters": [{"name": "path", "in": "path", "required": true}],
      "get": {"operationId": "read-a", "tags": ["system"], "responses": {"204": {}},
        "parameters": [{"name": "list", "in": "query"}, {"name": "X-Wrap", "in": "header", "required": true}]},
      "delete": {"operationId": "unnamed", "tags": ["system"]}},
    "/sys/b": {"get": {"operationId": "read-a", "tags": ["system"], "responses": {"204": {}}}},
    "/other": {"get": {"operationId": "unwrap", "tags": ["elsewhere"]}}}}`

func names(texts ...string) named {
	n := named{map[string]bool{}, map[string]bool{}}
	for _, text := range texts {
		n.read(text)
	}
	return n
}

func TestClientHasWhatThePageNames(t *testing.T) {
	t.Parallel()
	n := names("await this.api.sys.unwrap({})", "const { readA, readA_1 } = api; UnwrapRequestKindEnum;",
		"this.api.sys.systemReadLicenseStatus()", "KvListEnum.TRUE")
	text, methods, err := generate([]byte(someDocument), n, []string{"SystemApi.systemReadLicenseStatus"})
	require.NoError(t, err)
	require.Equal(t, 3, methods)
	for _, want := range []string{
		`  unwrap: ["POST","/sys/unwrap",[""],1,{"kind":0,"token":0},{"name":0,"until":1}],`,
		`  readA: ["GET","/sys/a/{path}",["path",":X-Wrap","list"],2,null],`,
		`  readA_1: ["GET","/sys/b",[],0,null],`,
		`absent(SystemApi, 'systemReadLicenseStatus');`,
		`export const UnwrapRequestKindEnum = {"A_B":"a-b","C":"c"};`,
		`export const KvListEnum = {"TRUE":"true"};`,
	} {
		require.Contains(t, text, want+"\n")
	}
	require.NotContains(t, text, "unnamed")
}

// A newer page that calls something else is noticed when it is built, not by who clicks there.
func TestClientRefusesWhatNoServerHas(t *testing.T) {
	t.Parallel()
	_, _, err := generate([]byte(someDocument), names("this.api.sys.brandNew()"), nil)
	require.ErrorContains(t, err, "SystemApi.brandNew")
	_, _, err = generate([]byte(someDocument), names("this.api.sys.unwrap()"), []string{"SystemApi.unwrap"})
	require.ErrorContains(t, err, "SystemApi.unwrap is in scripts/uisource/absent.txt")
}

func TestPageIsKeptWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	built, cache := t.TempDir(), t.TempDir()
	page := filepath.Join(cache, "ui@v1-0123")
	require.ErrorContains(t, keep(built, page), "ember built no page")
	require.NoDirExists(t, page)
	require.NoError(t, write(filepath.Join(built, "index.html"), "page"))
	require.NoError(t, write(filepath.Join(built, "assets", "a.js"), "code"))
	require.NoError(t, keep(built, page))
	require.NoError(t, keep(built, page), "two clones may build it at once")
	require.Equal(t, "code", text(t, page, "assets", "a.js"))
	require.Equal(t, "ui@v1-0123\n", text(t, page, note))
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else is left")
}

// The go command embeds the page that was built, and the tree's own where there is none.
func TestServerEmbedsThePage(t *testing.T) {
	t.Chdir("../..")
	embeds := func(flags ...string) string {
		args := slices.Concat([]string{"list"}, flags, []string{"-f", "{{.EmbedFiles}}", "./host/internal/webui"})
		out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	require.Equal(t, "[page/index.html]", embeds())

	page, file := filepath.Join(t.TempDir(), "page"), filepath.Join(t.TempDir(), "page.json")
	flag, err := overlay(page, file)
	require.NoError(t, err)
	require.Empty(t, flag, "there is no page yet")
	require.NoFileExists(t, file)

	require.NoError(t, write(filepath.Join(page, "index.html"), "page"))
	require.NoError(t, write(filepath.Join(page, "assets", "a.js"), "code"))
	require.NoError(t, write(filepath.Join(page, note), "ui"))
	flag, err = overlay(page, file)
	require.NoError(t, err)
	require.Equal(t, "-overlay="+file, flag)
	require.Equal(t, "[page/assets/a.js page/index.html page/"+note+"]", embeds(flag))
}
