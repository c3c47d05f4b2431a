// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/helper/builtinplugins"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// The table of what acts before it writes names paths and operations that the
// built-in backends have, in the versions that are linked, and that the framework
// does not have forwarded by itself.
func TestWhatActsFirstIsInTheBackends(t *testing.T) {
	t.Parallel()
	kinds := map[string]consts.PluginType{"secret": consts.PluginTypeSecrets, "auth": consts.PluginTypeCredential}
	for mount, rows := range routing.ActFirst {
		class, typ, _ := strings.Cut(mount, "/")
		get, ok := builtinplugins.Registry.Get(typ, kinds[class])
		require.True(t, ok, mount)
		factory, err := get()
		require.NoError(t, err, mount)
		b := pathsOf(t, built(t, factory.(logical.Factory), &logical.InmemStorage{}))
		for _, r := range rows {
			var path *framework.Path
			for _, p := range b.Paths {
				if r.Is(p.Pattern) {
					path = p
				}
			}
			require.NotNil(t, path, "%s has no path %s", mount, r.Pattern)
			for _, op := range r.Operations {
				if op == logical.RevokeOperation {
					require.NotEmpty(t, b.Secrets, "%s makes no leases", mount)
					continue
				}
				h := path.Operations[op]
				require.True(t, h != nil || path.Callbacks[op] != nil, "%s has no %s of %s", mount, op,
					r.Pattern) // backends still use it
				if h != nil {
					require.False(t, h.Properties().ForwardPerformanceSecondary, "%s: %s of %s never runs on a secondary", mount, op,
						r.Pattern)
				}
			}
		}
	}
}

// pathsOf is the framework's backend in one of the built-in ones.
func pathsOf(t *testing.T, b logical.Backend) *framework.Backend {
	t.Helper()
	inner, ok := reflect.ValueOf(b).Elem().FieldByName("Backend").Interface().(*framework.Backend)
	require.True(t, ok, "%T", b)
	return inner
}

func built(t *testing.T, factory logical.Factory, storage logical.Storage) logical.Backend {
	t.Helper()
	b, err := factory(t.Context(), &logical.BackendConfig{
		StorageView: storage,
		Logger:      hclog.NewNullLogger(),
		System:      logical.TestSystemView(),
		Config:      map[string]string{},
		BackendUUID: "11111111-2222-3333-4444-555555555555",
	})
	require.NoError(t, err)
	t.Cleanup(func() { b.Cleanup(context.Background()) })
	return b
}

// outOfReach is the primary of a secondary whose link is cut.
type outOfReach struct{}

func (outOfReach) Do(context.Context, *wire.Request) (*wire.Answer, error) {
	return nil, errors.New("no session")
}

// Transit keeps the period of rotation in its cache when the write is refused: a
// secondary that tried it would show what no cluster has.
func TestTransitOfASecondaryRemembersNothingThatWasRefused(t *testing.T) {
	t.Parallel()
	storage := &logical.InmemStorage{}
	stock := built(t, transit.Factory, storage)
	do := func(b logical.Backend, op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
		return b.HandleRequest(t.Context(), &logical.Request{Operation: op, Path: path, Data: data, Storage: storage})
	}
	_, err := do(stock, logical.UpdateOperation, "keys/k", nil)
	require.NoError(t, err)
	storage.FailPut(true)
	_, err = do(stock, logical.UpdateOperation, "keys/k/config", map[string]any{"auto_rotate_period": "2h"})
	require.Error(t, err)
	resp, err := do(stock, logical.ReadOperation, "keys/k", nil)
	require.NoError(t, err)
	require.EqualValues(t, 7200, resp.Data["auto_rotate_period"], "transit forgets it by itself now: the row is of no "+
		"use any more")

	b := routing.Options{Forwarder: outOfReach{}}.Wrap(vaultname.Mount{Class: "secret", Type: "transit"},
		built(t, transit.Factory, storage))
	_, err = do(b, logical.UpdateOperation, "keys/k/config", map[string]any{"auto_rotate_period": "2h"})
	require.Error(t, err)
	resp, err = do(b, logical.ReadOperation, "keys/k", nil)
	require.NoError(t, err)
	require.EqualValues(t, 0, resp.Data["auto_rotate_period"])
}
