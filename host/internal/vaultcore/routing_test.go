// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/duty"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/identity"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// A path of Vault that nobody has decided about stays local without a word: this
// finds it when the version of Vault is raised.
func TestEveryCorePathIsNamed(t *testing.T) {
	t.Parallel()
	c, err := Attach(vault.TestCoreRaw(t))
	require.NoError(t, err)
	walked := map[string]int{}
	for _, kind := range []string{vaultname.System, vaultname.Identity, vaultname.Token} {
		c.OnCoreBackend(kind, func(b *framework.Backend) error {
			for _, p := range b.Paths {
				require.True(t, routing.Named(kind, p.Pattern), "decide about %s: %s", kind, p.Pattern)
			}
			walked[kind] = len(b.Paths)
			requireRowsExist(t, kind, b)
			return nil
		})
	}
	keys, _ := vault.TestCoreInit(t, c.Core)
	unseal(t, c, keys)
	require.Greater(t, walked[vaultname.System], 150)
	require.Greater(t, walked[vaultname.Identity], 40)
	require.Greater(t, walked[vaultname.Token], 10)
}

// requireRowsExist finds rows for paths out of the cluster that Vault does not have: a row
// whose pattern is misspelt would forward nothing.
func requireRowsExist(t *testing.T, kind string, b *framework.Backend) {
	t.Helper()
	have := map[string]bool{}
	for _, p := range b.Paths {
		have[strings.TrimSuffix(strings.TrimPrefix(p.Pattern, "^"), "$")] = true
	}
	for _, r := range routing.CorePaths {
		if r.Backend == kind && !r.Prefix && r.Way != routing.Local {
			require.True(t, have[r.Pattern], "Vault has no path %s: %s", kind, r.Pattern)
		}
	}
}

// readOnly refuses what a performance secondary's guard refuses.
type readOnly struct {
	physical.Backend
	on atomic.Bool
}

func (r *readOnly) refuses(ctx context.Context, key string) bool {
	for _, shared := range []string{"logical/", "auth/", "sys/policy/", "sys/token/roles/", "core/mounts"} {
		if r.on.Load() && strings.HasPrefix(key, shared) {
			refusal.Note(ctx)
			return true
		}
	}
	return false
}

func (r *readOnly) Put(ctx context.Context, e *physical.Entry) error {
	if r.refuses(ctx, e.Key) {
		return logical.ErrReadOnly
	}
	return r.Backend.Put(ctx, e)
}

func (r *readOnly) Delete(ctx context.Context, key string) error {
	if r.refuses(ctx, key) {
		return logical.ErrReadOnly
	}
	return r.Backend.Delete(ctx, key)
}

// direct is the way to the primary without a network. The two cores of this test
// share no data, so their mounts have other UUIDs.
type direct struct {
	primary  *Core
	receiver *routing.Receiver
	mu       sync.Mutex
	sent     []string
}

func (d *direct) Do(ctx context.Context, req *wire.Request) (*wire.Answer, error) {
	d.mu.Lock()
	d.sent = append(d.sent, string(req.Logical.Operation)+" "+req.MountPath+req.Logical.Path)
	d.mu.Unlock()
	if req.MountUUID != "" {
		m, _ := d.primary.MountAt(req.MountPath)
		req.MountUUID, req.MountAccessor = m.UUID, m.Accessor
	}
	return d.receiver.Handle(context.WithoutCancel(ctx), "west", req), nil
}

func (d *direct) log() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.sent...)
}

// pair is a primary and a performance secondary, both with a mount secret/.
// localsOf is what a core has of its own.
type localsOf struct{ c *Core }

func (l localsOf) LocalAlias(id, accessor string) bool {
	return identity.New(l.c.Core, &routing.Readers{}).LocalAlias(id, accessor)
}

func (l localsOf) LocalClash(into string, from, keep []string) string {
	return identity.New(l.c.Core, &routing.Readers{}).LocalClash(into, from, keep)
}

func (l localsOf) LocalMount(path string) bool {
	m, ok := l.c.MountAt(path)
	return ok && m.Local
}

func routingPair(t *testing.T) (primary, secondary *Core, primaryRoot, root string, d *direct) {
	t.Helper()
	primary, pKeys, primaryRoot := attached(t)
	unseal(t, primary, pKeys)
	mountKV(t, primary, primaryRoot)
	d = &direct{primary: primary, receiver: &routing.Receiver{Core: primary}}

	secondary, err := Attach(vault.TestCore(t))
	require.NoError(t, err)
	store := &readOnly{}
	secondary.InstallStorage(func(inner physical.Backend) physical.Backend {
		store.Backend = inner
		return store
	})
	secondary.OnBarrierOpen(func(context.Context) error {
		if store.on.Load() {
			secondary.SetReplicationState(perfSecondary)
		}
		return nil
	})
	for _, kind := range []string{vaultname.System, vaultname.Identity, vaultname.Token} {
		secondary.OnCoreBackend(kind, func(b *framework.Backend) error {
			if !store.on.Load() {
				return nil
			}
			_, err := routing.DecorateForward(b, kind, d, localsOf{secondary})
			return err
		})
	}
	o := routing.Options{Forwarder: d}
	o.Replaced = func() { _ = secondary.WrapBackends(o.Wrap) }
	secondary.OnBackendsReady(func(ctx context.Context) {
		require.NoError(t, ctx.Err())
		if store.on.Load() {
			require.NoError(t, secondary.WrapBackends(o.Wrap))
		}
	})
	keys, root := vault.TestCoreInit(t, secondary.Core)
	unseal(t, secondary, keys)
	mountKV(t, secondary, root)
	require.NoError(t, secondary.Restart(context.Background(), func(context.Context) ([]byte, error) {
		store.on.Store(true)
		return nil, nil
	}))
	return primary, secondary, primaryRoot, root, d
}

func TestWritesOfASecondaryReachThePrimary(t *testing.T) {
	t.Parallel()
	primary, secondary, primaryRoot, root, d := routingPair(t)
	trail := filepath.Join(t.TempDir(), "audit.log")
	_, err := request(primary, logical.UpdateOperation, "sys/audit/file", primaryRoot,
		map[string]any{"type": "file", "options": map[string]string{"file_path": trail}})
	require.NoError(t, err)

	writes := []struct {
		path   string
		data   map[string]any
		read   string
		status string
	}{
		{path: "secret/a", data: map[string]any{"v": "1"}},
		{path: "sys/policies/acl/p", data: map[string]any{"policy": `path "a" { capabilities = ["read"] }`}},
		{path: "identity/group", data: map[string]any{"name": "g"}, read: "identity/group/name/g"},
		{path: "identity/entity", data: map[string]any{"name": "e"}, read: "identity/entity/name/e"},
		{path: "auth/token/roles/r", data: map[string]any{"orphan": true}},
		{path: "sys/mounts/more", data: map[string]any{"type": "kv"}},
	}
	for _, w := range writes {
		resp, err := request(secondary, logical.UpdateOperation, w.path, root, w.data)
		require.NoError(t, err, w.path)
		require.NoError(t, resp.Error(), w.path)
		if w.read == "" {
			w.read = w.path
		}
		resp, err = request(primary, logical.ReadOperation, w.read, primaryRoot, nil)
		require.NoError(t, err, w.path)
		require.NotNil(t, resp, w.path)
		require.NoError(t, resp.Error(), w.path)
	}
	require.Len(t, d.log(), len(writes))
	entries, err := os.ReadFile(trail)
	require.NoError(t, err)
	require.Contains(t, string(entries), `"replication_cluster":"west"`)
	require.Contains(t, string(entries), `"path":"secret/a"`)

	// What is of this cluster stays here.
	resp, err := request(secondary, logical.UpdateOperation, "sys/mounts/own", root,
		map[string]any{"type": "kv", "local": true})
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	resp, err = request(secondary, logical.UpdateOperation, "auth/token/create", root,
		map[string]any{"policies": []string{"default"}})
	require.NoError(t, err)
	require.NotEmpty(t, resp.Auth.ClientToken)
	_, err = request(secondary, logical.UpdateOperation, "sys/rotate", root, nil)
	require.ErrorContains(t, err, "send it to the primary")
	require.Len(t, d.log(), len(writes))
}

func TestWrapBackends(t *testing.T) {
	t.Parallel()
	_, secondary, _, root, d := routingPair(t)
	wrapped := func(path string) bool {
		_, ok := secondary.BackendOf(path).(routing.Wrapped)
		return ok
	}
	require.True(t, wrapped("secret/"))
	for _, path := range []string{"sys/", "identity/", "cubbyhole/", "auth/token/"} {
		require.NotNil(t, secondary.BackendOf(path), path)
		require.False(t, wrapped(path), "the core asserts on the type of %s", path)
	}
	first := secondary.BackendOf("secret/")
	require.NoError(t, secondary.WrapBackends(routing.Options{Forwarder: d}.Wrap))
	require.Same(t, first, secondary.BackendOf("secret/"), "a wrapper around a wrapper would forward twice")

	var kv vaultname.Mount
	for _, m := range secondary.Mounts() {
		if m.Path == "secret/" {
			kv = m
		}
	}
	at, ok := secondary.MountAt("secret/a/b")
	require.True(t, ok)
	require.Equal(t, kv, at)
	require.Equal(t, "kv", kv.Type)
	require.Equal(t, "secret", kv.Class)
	require.Equal(t, "logical/"+kv.UUID+"/", kv.StoragePrefix)
	require.NotEmpty(t, kv.Accessor)
	require.False(t, kv.Local)
	require.False(t, kv.External)
	token, ok := secondary.MountAt("auth/token/")
	require.True(t, ok)
	require.Equal(t, "auth", token.Class)
	_, ok = secondary.MountAt("nowhere/")
	require.False(t, ok)

	// A reload puts a new backend in place of the wrapped one.
	resp, err := request(secondary, logical.UpdateOperation, "sys/plugins/reload/backend", root,
		map[string]any{"mounts": "secret/"})
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	require.Eventually(t, func() bool { return wrapped("secret/") }, time.Minute, time.Millisecond)
	require.NotSame(t, first, secondary.BackendOf("secret/"))
	_, err = request(secondary, logical.UpdateOperation, "secret/b", root, map[string]any{"v": "2"})
	require.NoError(t, err)
	require.Contains(t, d.log(), "create secret/b")
}

func TestExecuteChecksTheMount(t *testing.T) {
	t.Parallel()
	c, keys, root := attached(t)
	write := &logical.Request{Operation: logical.UpdateOperation, Path: "a", Data: map[string]any{"v": "1"},
		ClientToken: root}
	_, err := c.Execute(context.Background(), write, "secret/", "u", "a")
	require.ErrorIs(t, err, consts.ErrSealed)
	var away *duty.Away
	require.ErrorAs(t, err, &away)
	require.False(t, away.Begun)
	unseal(t, c, keys)
	mountKV(t, c, root)
	_, err = request(c, logical.UpdateOperation, "sys/mounts/own", root, map[string]any{"type": "kv", "local": true})
	require.NoError(t, err)
	kv, _ := c.MountAt("secret/")
	own, _ := c.MountAt("own/")
	cubbyhole, _ := c.MountAt("cubbyhole/")

	_, err = c.Execute(context.Background(), write, "secret/", kv.UUID, kv.Accessor)
	require.NoError(t, err)
	require.Equal(t, "a", write.Path, "the request is the caller's")
	resp, err := request(c, logical.ReadOperation, "secret/a", root, nil)
	require.NoError(t, err)
	require.Equal(t, "1", resp.Data["v"])

	for what, bad := range map[string][3]string{
		"another uuid":        {"secret/", own.UUID, kv.Accessor},
		"another accessor":    {"secret/", kv.UUID, own.Accessor},
		"no uuid":             {"secret/", "", ""},
		"local":               {"own/", own.UUID, own.Accessor},
		"local by no name":    {"own/", "", ""},
		"nowhere":             {"nowhere/", kv.UUID, kv.Accessor},
		"below a mount":       {"secret/a/", kv.UUID, kv.Accessor},
		"cubbyhole by a uuid": {"cubbyhole/", cubbyhole.UUID, cubbyhole.Accessor},
	} {
		_, err := c.Execute(context.Background(), write, bad[0], bad[1], bad[2])
		var coded *logical.ReplicationCodedError
		require.ErrorAs(t, err, &coded, what)
	}
	require.NoError(t, c.AuditRequest(context.Background(), &logical.LogInput{Request: write}),
		"without devices there is nothing to fail")
}

// The deadline of a request is known by when it came: a backend's context has none.
func TestWhenARequestCame(t *testing.T) {
	t.Parallel()
	c, _, _ := attached(t)
	came := time.Now().Add(-time.Minute)
	c.StoreInFlightReqData("r", vault.InFlightReqData{StartTime: came})
	at, ok := c.RequestStarted(context.WithValue(t.Context(), logical.CtxKeyInFlightRequestID{}, "r"))
	require.True(t, ok)
	require.True(t, at.Equal(came))
	for _, ctx := range []context.Context{t.Context(), context.WithValue(t.Context(), logical.CtxKeyInFlightRequestID{},
		"gone")} {
		_, ok = c.RequestStarted(ctx)
		require.False(t, ok)
	}
}
