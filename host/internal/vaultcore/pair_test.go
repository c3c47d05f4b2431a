// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/follow"
	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/live"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

const perfSecondary = consts.ReplicationPerformanceSecondary | consts.ReplicationDRDisabled

// row is a write of the primary's core.
type row struct {
	key   string
	value []byte // nil for a deletion
}

// guarded is the storage of one of the two cores: the primary's notes shared
// writes, the secondary's refuses them.
type guarded struct {
	physical.Backend
	classes *keyclass.Classifier
	// local says which views are those of local mounts; nil for none.
	local func(uuid string) bool

	mu       sync.Mutex
	readOnly bool
	absorb   []string
	refused  []string
	rows     []row
}

// admit says whether a write is passed on.
func (g *guarded) admit(r row) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.classes.Class(r.key) != keyclass.Shared {
		return true, nil
	}
	if view, _, ok := keyclass.SplitView(r.key); ok && g.local != nil && g.local(strings.Split(view, "/")[1]) {
		return true, nil
	}
	if !g.readOnly {
		g.rows = append(g.rows, r)
		return true, nil
	}
	g.refused = append(g.refused, r.key)
	if slices.Contains(g.absorb, r.key) {
		return false, nil
	}
	return false, logical.ErrReadOnly
}

func (g *guarded) Put(ctx context.Context, e *physical.Entry) error {
	if ok, err := g.admit(row{e.Key, slices.Clone(e.Value)}); !ok {
		return err
	}
	return g.Backend.Put(ctx, e)
}

func (g *guarded) Delete(ctx context.Context, key string) error {
	if ok, err := g.admit(row{key, nil}); !ok {
		return err
	}
	return g.Backend.Delete(ctx, key)
}

func (g *guarded) refusals() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.refused)
}

// pair is a primary and a performance secondary that follows it.
type pair struct {
	t                  *testing.T
	primary, secondary *Core
	from, to           *guarded
	keys               [][]byte
	root               string
	live               *live.Live
	follower           *follow.Follower
	hidden             func(string, mounttable.Entry) bool
}

func pairConfig() *vault.CoreConfig {
	return &vault.CoreConfig{
		EnableUI:           true,
		CredentialBackends: map[string]logical.Factory{"userpass": userpass.Factory},
		LogicalBackends:    map[string]logical.Factory{"transit": transit.Factory, "pki": pki.Factory},
		AuditBackends:      map[string]audit.Factory{"file": audit.NewFileBackend},
	}
}

func guardedCore(t *testing.T, conf *vault.CoreConfig) (*Core, *guarded) {
	t.Helper()
	c, err := Attach(vault.TestCoreWithConfig(t, conf))
	require.NoError(t, err)
	g := &guarded{classes: &keyclass.Classifier{}}
	c.InstallStorage(func(inner physical.Backend) physical.Backend {
		g.Backend = inner
		return g
	})
	return c, g
}

// newPair makes a primary, lets before change it, copies all of it, and unseals
// the copy as a secondary.
func newPair(t *testing.T, conf func() *vault.CoreConfig, before func(p *pair)) *pair {
	t.Helper()
	p := &pair{t: t, hidden: func(string, mounttable.Entry) bool { return false }}
	p.primary, p.from = guardedCore(t, conf())
	p.keys, p.root = vault.TestCoreInit(t, p.primary.Core)
	unseal(t, p.primary, p.keys)
	if before != nil {
		before(p)
	}
	p.secondary, p.to = guardedCore(t, conf())
	p.copyAll("")
	p.from.rows = nil
	p.to.readOnly = true
	p.to.local = p.localViews()
	p.from.local = p.localViews()
	p.secondary.OnBarrierOpen(func(context.Context) error {
		p.secondary.SetReplicationState(perfSecondary)
		return nil
	})
	p.live = p.secondary.Live(nil, func(context.Context, string) error { return nil })
	p.follower = follow.New(p.live, hclog.NewNullLogger(), follow.Options{
		Hidden: func(table string, e mounttable.Entry) bool { return p.hidden(table, e) },
	})
	return p
}

func (p *pair) open() *pair {
	p.t.Helper()
	p.secondary.OnActive(p.follower.Start)
	unseal(p.t, p.secondary, p.keys)
	p.t.Cleanup(p.live.Wait)
	return p
}

func (p *pair) copyAll(prefix string) {
	p.t.Helper()
	ctx := context.Background()
	names, err := p.from.Backend.List(ctx, prefix)
	require.NoError(p.t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			p.copyAll(prefix + name)
			continue
		}
		e, err := p.from.Backend.Get(ctx, prefix+name)
		require.NoError(p.t, err)
		require.NoError(p.t, p.to.Backend.Put(ctx, e))
	}
}

// localViews are the views of the mounts that were local at the beginning.
func (p *pair) localViews() func(uuid string) bool {
	raw, err := p.primary.GetEntry(context.Background(), "core/local-mounts")
	require.NoError(p.t, err)
	entries, err := mounttable.Decode(raw)
	require.NoError(p.t, err)
	local := map[string]bool{}
	for _, e := range entries {
		local[e.UUID] = true
	}
	return func(uuid string) bool { return local[uuid] }
}

// sync applies what the primary has written since, row by row.
func (p *pair) sync() {
	p.t.Helper()
	for _, r := range p.written() {
		p.store(r)
		p.follower.Applied(context.Background(), []string{r.key})
	}
}

// syncAtOnce does it in one batch.
func (p *pair) syncAtOnce() {
	p.t.Helper()
	var keys []string
	for _, r := range p.written() {
		p.store(r)
		keys = append(keys, r.key)
	}
	p.follower.Applied(context.Background(), keys)
}

func (p *pair) written() []row {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	rows := p.from.rows
	p.from.rows = nil
	return rows
}

func (p *pair) store(r row) {
	p.t.Helper()
	ctx := context.Background()
	if r.value == nil {
		require.NoError(p.t, p.to.Backend.Delete(ctx, r.key))
	} else {
		require.NoError(p.t, p.to.Backend.Put(ctx, &physical.Entry{Key: r.key, Value: r.value}))
	}
}

// do is a request to the primary that is followed.
func (p *pair) do(op logical.Operation, path string, data map[string]any) *logical.Response {
	p.t.Helper()
	resp, err := request(p.primary, op, path, p.root, data)
	require.NoError(p.t, err, path)
	if resp != nil {
		require.NoError(p.t, resp.Error(), path)
	}
	p.sync()
	return resp
}

func (p *pair) write(path string, data map[string]any) *logical.Response {
	p.t.Helper()
	return p.do(logical.UpdateOperation, path, data)
}

// ask is a request to the secondary.
func (p *pair) ask(op logical.Operation, path, token string, data map[string]any) (*logical.Response, error) {
	resp, err := request(p.secondary, op, path, token, data)
	if err == nil && resp != nil && resp.IsError() {
		err = resp.Error()
	}
	return resp, err
}

func (p *pair) read(path string) map[string]any {
	p.t.Helper()
	resp, err := p.ask(logical.ReadOperation, path, p.root, nil)
	require.NoError(p.t, err, path)
	require.NotNil(p.t, resp, path)
	return resp.Data
}

const (
	waitLong = 30 * time.Second
	tick     = 20 * time.Millisecond
)

// prepare is a request to the primary before there is a secondary.
func (p *pair) prepare(path string, data map[string]any) {
	p.t.Helper()
	_, err := request(p.primary, logical.UpdateOperation, path, p.root, data)
	require.NoError(p.t, err, path)
}

func brokerOf(c *Core) *audit.Broker { return *pinned.Field[*audit.Broker](c.Core, "auditBroker") }
