// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// lender gives leases out and takes them back, unless something is broken.
type lender struct {
	mu      sync.Mutex
	revoked []string
	broken  map[string]bool
	because error
}

func (l *lender) factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := &framework.Backend{BackendType: logical.TypeLogical}
	secret := &framework.Secret{
		Type: "loan",
		Revoke: func(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			name, _ := req.Secret.InternalData["name"].(string)
			if l.broken[name] {
				return nil, fmt.Errorf("it is not there to be taken back: %w", l.because)
			}
			l.revoked = append(l.revoked, name)
			return nil, nil
		},
	}
	b.Secrets = []*framework.Secret{secret}
	b.Paths = []*framework.Path{{
		Pattern: "loan/" + framework.GenericNameRegex("name"),
		Fields:  map[string]*framework.FieldSchema{"name": {Type: framework.TypeString}},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{Callback: func(_ context.Context, _ *logical.Request,
				d *framework.FieldData) (*logical.Response, error) {
				return secret.Response(map[string]any{"got": "it"}, map[string]any{"name": d.Get("name")}), nil
			}},
		},
	}}
	return b, b.Setup(ctx, conf)
}

// One lease that cannot be revoked keeps no other one from it, and is forgotten when
// the mount goes.
func TestLeasesThatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	l := &lender{broken: map[string]bool{"a": true, "z": true}, because: errors.New("it is broken")}
	p := newPair(t, func() *vault.CoreConfig {
		conf := pairConfig()
		conf.LogicalBackends["lender"] = l.factory
		return conf
	}, func(p *pair) { p.prepare("sys/mounts/lender", map[string]any{"type": "lender"}) }).open()
	ctx := context.Background()
	want := []string{}
	borrow := func(name string) {
		t.Helper()
		_, err := p.ask(logical.ReadOperation, "lender/loan/"+name, p.root, nil)
		require.NoError(t, err)
	}
	for _, name := range []string{"a", "z"} {
		borrow(name)
	}
	for i := range 200 {
		name := fmt.Sprintf("m%03d", i)
		borrow(name)
		want = append(want, name)
	}
	left := func() int {
		t.Helper()
		names, err := logical.CollectKeys(ctx, vault.NewBarrierView(p.secondary.barrier, vaultname.Leases+"lender/"))
		require.NoError(t, err)
		return len(names)
	}
	e := mounttable.Entry{Path: "lender/"}
	require.ErrorContains(t, p.live.RevokeLeases(ctx, vaultname.Mounts, e),
		fmt.Sprintf("2 of %d could not be revoked", len(want)+2))
	require.ElementsMatch(t, want, l.revoked)
	require.Equal(t, 2, left())

	never := func(error) bool { return false }
	_, err := p.live.ForgetLeases(ctx, vaultname.Mounts, e, func(err error) bool {
		return strings.Contains(err.Error(), l.because.Error())
	})
	require.ErrorContains(t, err, "2 of 2 could not be forgotten")
	require.Equal(t, 2, left(), "they may be revoked later")
	l.broken = map[string]bool{"z": true}
	orphans, err := p.live.ForgetLeases(ctx, vaultname.Mounts, e, never)
	require.NoError(t, err)
	require.Equal(t, 1, orphans)
	require.Contains(t, l.revoked, "a")
	require.Zero(t, left())

	// Without the mount there is nobody to ask.
	borrow("b")
	p.secondary.Router().Drop(onlyEntry(t, p, "lender/"))
	orphans, err = p.live.ForgetLeases(ctx, vaultname.Mounts, e, never)
	require.NoError(t, err)
	require.Equal(t, 1, orphans)
	require.Zero(t, left())
}

// A lease that Vault has given up is found with the reason, and revoked.
func TestLeasesThatVaultHasGivenUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	// Vault gives up at once what says that it will never work.
	l := &lender{broken: map[string]bool{"a": true, "b": true}, because: logical.ErrUnrecoverable}
	p := newPair(t, func() *vault.CoreConfig {
		conf := pairConfig()
		conf.LogicalBackends["lender"] = l.factory
		return conf
	}, func(p *pair) { p.prepare("sys/mounts/lender", map[string]any{"type": "lender"}) }).open()
	leases := *pinned.Field[*vault.ExpirationManager](p.secondary.Core, "expiration")
	for _, name := range []string{"a", "b"} {
		_, err := p.ask(logical.ReadOperation, "lender/loan/"+name, p.root, nil)
		require.NoError(t, err)
	}
	ids, err := logical.CollectKeys(ctx, vault.NewBarrierView(p.secondary.barrier, vaultname.Leases+"lender/"))
	require.NoError(t, err)
	require.Len(t, ids, 2)
	for _, id := range ids {
		require.NoError(t, leases.LazyRevoke(namespace.RootContext(ctx), "lender/"+id))
	}
	never := func(error) bool { return false }
	given := map[string]string{}
	note := func(id, reason string) bool { given[id] = reason; return false }
	require.Eventually(t, func() bool {
		_, _, err := p.live.RevokeGivenUp(ctx, note, never)
		return err == nil && len(given) == 2
	}, waitLong, tick)
	for _, reason := range given {
		require.Contains(t, reason, "it is not there to be taken back")
	}
	all := func(string, string) bool { return true }
	l.mend("a")
	revoked, failed, err := p.live.RevokeGivenUp(ctx, all, never)
	require.NoError(t, err)
	require.Equal(t, 1, revoked)
	require.Len(t, failed, 1)
	l.mend("b")
	revoked, failed, err = p.live.RevokeGivenUp(ctx, all, never)
	require.NoError(t, err)
	require.Equal(t, 1, revoked)
	require.Empty(t, failed)
	require.ElementsMatch(t, []string{"a", "b"}, l.revoked)
}

func (l *lender) mend(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.broken, name)
}

func onlyEntry(t *testing.T, p *pair, path string) *vault.MountEntry {
	t.Helper()
	for _, e := range (*pinned.Field[*vault.MountTable](p.secondary.Core, "mounts")).Entries {
		if e.Path == path {
			return e
		}
	}
	t.Fatalf("there is no mount %s", path)
	return nil
}
