// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/helper/jsonutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// rewrite changes the entries of a table in the primary's storage, as an older
// version of Vault could have left it.
func (p *pair) rewrite(table string, change func(entry map[string]any) (keep bool)) {
	p.t.Helper()
	ctx := context.Background()
	raw, err := p.primary.GetEntry(ctx, table)
	require.NoError(p.t, err)
	var t map[string]any
	require.NoError(p.t, jsonutil.DecodeJSON(raw, &t))
	kept := []any{}
	if entries, ok := t["entries"].([]any); ok {
		for _, e := range entries {
			if change(e.(map[string]any)) {
				kept = append(kept, e)
			}
		}
	}
	t["entries"] = kept
	out, err := json.Marshal(t)
	require.NoError(p.t, err)
	require.NoError(p.t, p.primary.PutEntry(ctx, table, out))
}

// What a secondary's own core writes to tables of the primary while it is
// unsealed. These keys, and no others, have to be absorbed until the node is
// active.
func TestTableUpgradesOfASecondary(t *testing.T) {
	t.Parallel()
	without := func(field string) func(map[string]any) bool {
		return func(e map[string]any) bool {
			delete(e, field)
			return true
		}
	}
	tests := map[string]struct {
		change func(p *pair)
		want   []string
	}{
		"nothing": {func(*pair) {}, nil},
		"a mount without accessor": {func(p *pair) { p.rewrite(vaultname.Mounts, without("accessor")) },
			[]string{vaultname.Mounts}},
		"a mount without uuid of its backend": {func(p *pair) { p.rewrite(vaultname.Mounts, without("backend_aware_uuid")) },
			[]string{vaultname.Mounts}},
		"a mount without namespace": {func(p *pair) { p.rewrite(vaultname.Mounts, without("namespace_id")) }, nil},
		"no cubbyhole": {func(p *pair) {
			p.rewrite("core/local-mounts",
				func(map[string]any) bool { return false })
		}, []string{vaultname.Mounts}},
		"an auth method without table": {func(p *pair) { p.rewrite(vaultname.Auth, without("table")) },
			[]string{vaultname.Auth}},
		"an audit device without accessor": {func(p *pair) { p.rewrite(vaultname.Audit, without("accessor")) },
			[]string{vaultname.Audit}},
		"no audit table": {func(p *pair) {
			require.NoError(p.t, p.primary.DeleteEntry(context.Background(), vaultname.Audit))
		}, []string{vaultname.Audit}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, pairConfig, func(p *pair) {
				p.prepare("sys/mounts/a", map[string]any{"type": "kv"})
				p.prepare("sys/audit/file",
					map[string]any{"type": "file", "options": map[string]any{"file_path": filepath.Join(t.TempDir(), "log")}})
				tt.change(p)
			})
			p.to.absorb = tt.want
			p.open()
			var tables []string
			for _, key := range p.to.refusals() {
				if !slices.Contains(tables, key) {
					tables = append(tables, key)
				}
			}
			require.Equal(t, tt.want, tables)
			_, err := p.ask(logical.ReadOperation, "a/x", p.root, nil)
			require.NoError(t, err)
		})
	}
}

// A secondary without the upgrade absorbed stays sealed: that the test above
// says something.
func TestTableUpgradeThatIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) {
		p.rewrite(vaultname.Mounts, func(e map[string]any) bool {
			delete(e, "accessor")
			return true
		})
	})
	var err error
	for _, k := range p.keys {
		_, err = vault.TestCoreUnseal(p.secondary.Core, vault.TestKeyCopy(k))
	}
	require.Error(t, err)
	require.True(t, p.secondary.Sealed())
}

// brokenFile is the file audit device of a node that has not its directory yet.
type brokenFile struct {
	mu     sync.Mutex
	broken bool
}

func (b *brokenFile) factory(conf *audit.BackendConfig, headers audit.HeaderFormatter) (audit.Backend, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return nil, errors.New("no such directory")
	}
	return audit.NewFileBackend(conf, headers)
}

func TestAuditDeviceThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.log")
	p := newPair(t, pairConfig, func(p *pair) {
		p.prepare("sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": file}})
		p.prepare("sys/policy/x", map[string]any{"policy": `path "a" { capabilities = ["read"] }`})
	})
	broken := &brokenFile{broken: true}
	(*pinned.Field[map[string]audit.Factory](p.secondary.Core, "auditBackends"))["file"] = broken.factory
	p.secondary.TolerateAuditFailures(p.follower.AuditDevice)
	p.open()
	require.Len(t, p.follower.Lacks(), 1)
	require.Contains(t, p.follower.Lacks()[0], "no such directory")

	_, err := p.ask(logical.ReadOperation, "sys/policy/x", p.root, nil)
	require.Error(t, err, "no request may be answered that nothing has logged")
	before, err := os.ReadFile(file)
	require.NoError(t, err)

	broken.mu.Lock()
	broken.broken = false
	broken.mu.Unlock()
	require.Eventually(t, func() bool {
		_, err := p.ask(logical.ReadOperation, "sys/policy/x", p.root, nil)
		return err == nil
	}, waitLong, tick)
	require.Empty(t, p.follower.Lacks())
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Greater(t, len(after), len(before), "an entry that counts as logged must be in the log")
	require.Contains(t, string(after[len(before):]), `"type":"response"`)
}

// A device that the primary enables and this node cannot open is not left out:
// it would leave requests unlogged that the operator wants logged.
func TestAuditDeviceThatCannotBeOpenedLive(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil)
	broken := &brokenFile{broken: true}
	(*pinned.Field[map[string]audit.Factory](p.secondary.Core, "auditBackends"))["file"] = broken.factory
	p.secondary.TolerateAuditFailures(p.follower.AuditDevice)
	p.open()
	p.write("sys/audit/file",
		map[string]any{"type": "file", "options": map[string]any{"file_path": filepath.Join(t.TempDir(), "log")}})
	_, err := p.ask(logical.ReadOperation, "sys/mounts", p.root, nil)
	require.Error(t, err)
	require.NotEmpty(t, p.follower.Lacks())
	p.do(logical.DeleteOperation, "sys/audit/file", nil)
	_, err = p.ask(logical.ReadOperation, "sys/mounts", p.root, nil)
	require.NoError(t, err)
	require.Empty(t, p.follower.Lacks())
}

// A device of the primary whose salt has not arrived logs nothing, and nothing tries to make a salt in its view. It
// logs when the salt is there. A cluster that may make it does, also for a device that was there at the unseal.
func TestAuditDeviceWithoutItsSalt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.log")
	p := newPair(t, pairConfig, func(p *pair) {
		p.prepare("sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": file}})
	})
	devices, err := p.to.Backend.List(t.Context(), "audit/")
	require.NoError(t, err)
	require.Len(t, devices, 1)
	key := "audit/" + devices[0] + "salt"
	salt, err := p.to.Backend.Get(t.Context(), key)
	require.NoError(t, err)
	require.NotNil(t, salt)
	require.NoError(t, p.to.Backend.Delete(t.Context(), key))
	p.secondary.TolerateAuditFailures(p.follower.AuditDevice)
	p.open()
	logs := func() error {
		return p.secondary.AuditRequest(namespace.RootContext(t.Context()), &logical.LogInput{
			Request: &logical.Request{Path: "a", Data: map[string]any{"a": "b"}}})
	}
	err = logs()
	require.ErrorContains(t, err, "has not arrived yet")
	require.NotContains(t, err.Error(), "persist")

	p.store(row{key, salt.Value})
	p.follower.Applied(t.Context(), []string{key})
	require.NoError(t, logs())

	require.NoError(t, p.to.Backend.Delete(t.Context(), key))
	p.follower.Applied(t.Context(), []string{key})
	p.to.mu.Lock()
	p.to.readOnly = false
	p.to.mu.Unlock()
	require.NoError(t, logs(), "it was promoted")
	salt, err = p.to.Backend.Get(t.Context(), key)
	require.NoError(t, err)
	require.NotNil(t, salt)
}
