// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/entity"
	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/identity"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// guardedRows refuses what a performance secondary must not write, and counts.
type guardedRows struct {
	physical.Backend
	mu      sync.Mutex
	refused []string
}

func (g *guardedRows) allow(key string) error {
	shared := (strings.HasPrefix(key, "logical/") && !strings.Contains(key, "/packer/local-aliases/")) ||
		strings.HasPrefix(key, "sys/policy/")
	if !shared {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = append(g.refused, key)
	return logical.ErrReadOnly
}

func (g *guardedRows) Put(ctx context.Context, e *physical.Entry) error {
	if err := g.allow(e.Key); err != nil {
		return err
	}
	return g.Backend.Put(ctx, e)
}

func (g *guardedRows) Delete(ctx context.Context, key string) error {
	if err := g.allow(key); err != nil {
		return err
	}
	return g.Backend.Delete(ctx, key)
}

// takeRefused are the identity rows that were refused since the last call.
func (g *guardedRows) takeRefused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := slices.DeleteFunc(g.refused, func(k string) bool { return !strings.Contains(k, "/packer/") })
	g.refused = nil
	return taken
}

// identityPair is a primary, a performance secondary of it, and between them a link whose
// arrival is a call.
type identityPair struct {
	t                  *testing.T
	primary, secondary *Core
	keys               [][]byte
	root               string
	below              *guardedRows
	identity           *identity.Store
	client             *entity.Secondary
	server             map[string]entity.Handler

	mu     sync.Mutex
	calls  []string
	mounts map[string]vaultname.Mount
	// off leaves the logins of the secondary as Vault makes them.
	off bool
	// lag holds arrivals back.
	lag bool
	// renewGroups are the group aliases that the next renewals bring.
	renewGroups []string
	arriving    sync.Mutex
}

func newPeoplePair(t *testing.T) *identityPair {
	t.Helper()
	p := &identityPair{t: t, mounts: map[string]vaultname.Mount{}}
	quiet := hclog.New(&hclog.LoggerOptions{Output: io.Discard})
	conf := func(factory logical.Factory) *vault.CoreConfig {
		return &vault.CoreConfig{Logger: quiet, CredentialBackends: map[string]logical.Factory{"who": factory}}
	}
	primary := vault.TestCoreWithConfig(t, conf(p.who(nil)))
	var err error
	p.primary, err = Attach(primary)
	require.NoError(t, err)
	p.keys, p.root = vault.TestCoreInit(t, primary)
	unseal(t, p.primary, p.keys)
	p.ask(p.primary, "sys/auth/who", map[string]any{"type": "who"})
	p.server = entity.NewServer(entity.ServerOptions{Store: identity.New(p.primary.Core, &routing.Readers{}),
		Audit: p.primary}).Handlers()

	secondary := vault.TestCoreWithConfig(t, conf(p.who(p.after)))
	p.secondary, err = Attach(secondary)
	require.NoError(t, err)
	p.secondary.InstallStorage(func(inner physical.Backend) physical.Backend {
		p.below = &guardedRows{Backend: inner}
		return p.below
	})
	p.identity = identity.New(p.secondary.Core, &routing.Readers{})
	p.client = entity.NewSecondary(p.identity, p, p, quiet)
	p.secondary.OnBarrierOpen(func(context.Context) error {
		p.secondary.SetReplicationState(perfSecondary)
		return nil
	})
	p.secondary.OnActive(func(context.Context) { require.NoError(t, p.identity.ForwardWrites(p.client)) })
	for key, value := range rows(t, p.primary.UnderlyingStorage(), "") {
		require.NoError(t, p.below.Backend.Put(t.Context(), &physical.Entry{Key: key, Value: value}))
	}
	unseal(t, p.secondary, p.keys)
	p.ask(p.secondary, "sys/auth/here", map[string]any{"type": "who", "local": true})
	p.learnMounts()
	return p
}

func (p *identityPair) learnMounts() {
	for path, c := range map[string]*Core{"who": p.primary, "here": p.secondary} {
		resp := p.read(c, "sys/auth/"+path)
		p.mounts["auth/"+path+"/"] = vaultname.Mount{
			Accessor: resp["accessor"].(string), Type: "who", Local: resp["local"].(bool),
		}
	}
}

// who is an auth method that believes everything.
func (p *identityPair) who(after func(context.Context, *logical.Request, *logical.Response) error) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b := &framework.Backend{
			BackendType:  logical.TypeCredential,
			PathsSpecial: &logical.Paths{Unauthenticated: []string{"login/*"}},
			Paths: []*framework.Path{{
				Pattern: "login/(?P<name>.+)",
				Fields: map[string]*framework.FieldSchema{
					"name": {Type: framework.TypeString}, "meta": {Type: framework.TypeKVPairs},
					"groups": {Type: framework.TypeCommaStringSlice}, "type": {Type: framework.TypeString},
				},
				Operations: map[logical.Operation]framework.OperationHandler{
					logical.UpdateOperation: &framework.PathOperation{Callback: whoLogin},
				},
			}},
			AuthRenew: func(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
				p.mu.Lock()
				defer p.mu.Unlock()
				req.Auth.GroupAliases = named(p.renewGroups)
				return &logical.Response{Auth: req.Auth}, nil
			},
		}
		if err := b.Setup(ctx, conf); err != nil {
			return nil, err
		}
		return &watched{b, after}, nil
	}
}

func named(names []string) []*logical.Alias {
	var out []*logical.Alias
	for _, n := range names {
		out = append(out, &logical.Alias{Name: n})
	}
	return out
}

func whoLogin(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	auth := &logical.Auth{
		Alias:        &logical.Alias{Name: d.Get("name").(string), Metadata: d.Get("meta").(map[string]string)},
		GroupAliases: named(d.Get("groups").([]string)),
		LeaseOptions: logical.LeaseOptions{TTL: time.Hour, Renewable: true},
		Policies:     []string{"default"},
	}
	if d.Get("type") == "batch" {
		auth.TokenType, auth.Renewable = logical.TokenTypeBatch, false
	}
	return &logical.Response{Auth: auth}, nil
}

// watched calls the hook that host/internal/routing's wrapper calls.
type watched struct {
	*framework.Backend
	after func(context.Context, *logical.Request, *logical.Response) error
}

func (w *watched) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	resp, err := w.Backend.HandleRequest(ctx, req)
	if err != nil || w.after == nil {
		return resp, err
	}
	if err := w.after(ctx, req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

func (p *identityPair) after(ctx context.Context, req *logical.Request, resp *logical.Response) error {
	p.mu.Lock()
	m, off := p.mounts[req.MountPoint], p.off
	p.mu.Unlock()
	if off {
		return nil
	}
	return p.client.AfterAuth(ctx, m, req, resp)
}

func (p *identityPair) Call(ctx context.Context, kind string, body []byte) ([]byte, replication.Position, error) {
	p.mu.Lock()
	p.calls = append(p.calls, kind)
	n := len(p.calls)
	p.mu.Unlock()
	answer, err := p.server[kind](ctx, "eu", body)
	return answer, replication.Position{Sequence: uint64(n)}, err
}

func (p *identityPair) Wait(ctx context.Context, _ replication.Position) error {
	p.mu.Lock()
	lag := p.lag
	p.mu.Unlock()
	if lag {
		return errors.New("nothing arrives")
	}
	return p.arrive(ctx)
}

func (p *identityPair) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *identityPair) takeCalls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.calls
	p.calls = nil
	return taken
}

// shared are the rows of entities and groups of a cluster.
func (p *identityPair) shared(c *Core) map[string][]byte {
	all := rows(p.t, c.UnderlyingStorage(), "logical/")
	maps.DeleteFunc(all, func(k string, _ []byte) bool {
		return !strings.Contains(k, "/"+storagepacker.StoragePackerBucketsPrefix) &&
			!strings.Contains(k, "/"+"packer/group/buckets/")
	})
	return all
}

// pending are the rows in which the clusters differ.
func (p *identityPair) pending() []string {
	want, have := p.shared(p.primary), p.shared(p.secondary)
	var keys []string
	for key, value := range want {
		if !slices.Equal(have[key], value) {
			keys = append(keys, key)
		}
	}
	for key := range have {
		if want[key] == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// put writes one of the primary's rows below the secondary and returns its key
// relative to the mount.
func (p *identityPair) put(ctx context.Context, key string) (string, error) {
	_, after, _ := strings.Cut(key, "packer/")
	short := "packer/" + after
	e, err := p.primary.UnderlyingStorage().Get(ctx, key)
	if err != nil {
		return "", err
	}
	if e == nil {
		return short, p.below.Backend.Delete(ctx, key)
	}
	return short, p.below.Backend.Put(ctx, e)
}

func (p *identityPair) applyOne(ctx context.Context, key string) error {
	short, err := p.put(ctx, key)
	if err != nil {
		return err
	}
	return p.identity.Refresh(ctx, []string{short})
}

// apply writes the rows that differ and returns their keys.
func (p *identityPair) apply(ctx context.Context) ([]string, error) {
	var keys []string
	for _, key := range p.pending() {
		short, err := p.put(ctx, key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, short)
	}
	return keys, nil
}

// arrive applies everything and takes it up as one change.
func (p *identityPair) arrive(ctx context.Context) error {
	p.arriving.Lock()
	defer p.arriving.Unlock()
	keys, err := p.apply(ctx)
	if err != nil {
		return err
	}
	return p.identity.Refresh(ctx, keys)
}

func rows(t *testing.T, from physical.Backend, prefix string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	var walk func(prefix string)
	walk = func(prefix string) {
		names, err := from.List(context.Background(), prefix)
		require.NoError(t, err)
		for _, n := range names {
			if strings.HasSuffix(n, "/") {
				walk(prefix + n)
				continue
			}
			e, err := from.Get(context.Background(), prefix+n)
			require.NoError(t, err)
			if e != nil {
				all[prefix+n] = e.Value
			}
		}
	}
	walk(prefix)
	return all
}

// ask makes a request that must succeed.
func (p *identityPair) ask(c *Core, path string, data map[string]any) map[string]any {
	p.t.Helper()
	resp, err := request(c, logical.UpdateOperation, path, p.root, data)
	require.NoError(p.t, err, path)
	require.NoError(p.t, resp.Error(), path)
	if resp == nil {
		return nil
	}
	return resp.Data
}

func (p *identityPair) read(c *Core, path string) map[string]any {
	p.t.Helper()
	resp, err := request(c, logical.ReadOperation, path, p.root, nil)
	require.NoError(p.t, err, path)
	if resp == nil {
		return nil
	}
	return resp.Data
}

// login logs in without a token.
func (p *identityPair) login(c *Core, path string, data map[string]any) (*logical.Auth, error) {
	req := &logical.Request{
		Operation: logical.UpdateOperation, Path: path, Data: data,
		Connection: &logical.Connection{RemoteAddr: "127.0.0.1"},
	}
	resp, err := c.HandleRequest(namespace.RootContext(context.Background()), req)
	if err != nil {
		return nil, err
	}
	if err := resp.Error(); err != nil {
		return nil, err
	}
	if resp == nil || resp.Auth == nil {
		return nil, fmt.Errorf("no auth in %v", resp)
	}
	return resp.Auth, nil
}

func (p *identityPair) mustLogin(path string, data map[string]any) *logical.Auth {
	p.t.Helper()
	auth, err := p.login(p.secondary, path, data)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, auth.EntityID)
	return auth
}

func (p *identityPair) restart() {
	p.t.Helper()
	require.NoError(p.t, p.secondary.Restart(context.Background(), func(context.Context) ([]byte, error) {
		return nil,
			nil
	}))
}
