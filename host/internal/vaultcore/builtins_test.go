// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/database"
	"github.com/hashicorp/vault/helper/builtinplugins"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// What is written down of the built-in engines is what they declare themselves, in
// the versions that are linked: before a backend is loaded, and where it cannot be,
// the list alone decides what leaves the cluster.
func TestBuiltinsDeclareWhatIsWrittenDown(t *testing.T) {
	t.Parallel()
	declared := declaredByTheCore(t)
	for kind, typ := range map[string]consts.PluginType{vaultname.EngineViews: consts.PluginTypeSecrets,
		vaultname.AuthViews: consts.PluginTypeCredential} {
		names := builtinplugins.Registry.Keys(typ)
		require.NotEmpty(t, names)
		for _, b := range keyclass.Builtins { // the registry does not list those that were removed
			if _, ok := builtinplugins.Registry.Get(b.Type, typ); ok && b.Kind == kind {
				names = append(names, b.Type)
			}
		}
		for _, name := range names {
			get, ok := builtinplugins.Registry.Get(name, typ)
			require.True(t, ok, name)
			factory, err := get()
			require.NoError(t, err, name)
			declared[kind+name] = declaredBy(t, name, factory.(logical.Factory))
		}
	}

	written := map[string][]string{}
	for _, b := range keyclass.Builtins {
		if b.Kind != vaultname.AuditViews { // audit devices are no backends and can declare nothing
			written[b.Kind+b.Type] = sorted(b.LocalPrefixes)
		}
	}
	// It declares nothing and its mount is local as a whole.
	require.Empty(t, declared["logical/cubbyhole"])
	require.Equal(t, []string{""}, written["logical/cubbyhole"])
	delete(declared, "logical/cubbyhole")
	delete(written, "logical/cubbyhole")
	require.Equal(t, declared, written)
}

// declaredByTheCore are the backends that no registry has.
func declaredByTheCore(t *testing.T) map[string][]string {
	t.Helper()
	c, keys, _ := attached(t)
	declared := map[string][]string{
		"logical/database":  declaredBy(t, "database", database.Factory),
		"logical/generic":   declaredBy(t, "generic", vault.PassthroughBackendFactory),
		"logical/cubbyhole": declaredBy(t, "cubbyhole", vault.CubbyholeBackendFactory),
	}
	for kind, name := range map[string]string{vaultname.System: "logical/system", vaultname.Identity: "logical/identity",
		vaultname.Token: "auth/token"} {
		c.OnCoreBackend(kind, func(b *framework.Backend) error {
			declared[name] = localStorage(b)
			return nil
		})
	}
	unseal(t, c, keys)
	require.Contains(t, declared, "logical/system")
	return declared
}

// declaredBy makes a backend as the core does when it mounts one.
func declaredBy(t *testing.T, name string, factory logical.Factory) []string {
	t.Helper()
	b, err := factory(t.Context(), &logical.BackendConfig{
		StorageView: &logical.InmemStorage{},
		Logger:      hclog.NewNullLogger(),
		System:      logical.TestSystemView(),
		Config:      map[string]string{},
		BackendUUID: "11111111-2222-3333-4444-555555555555",
	})
	require.NoError(t, err, name)
	t.Cleanup(func() { b.Cleanup(context.Background()) })
	return localStorage(b)
}

func localStorage(b logical.Backend) []string {
	if paths := b.SpecialPaths(); paths != nil {
		return sorted(paths.LocalStorage)
	}
	return sorted(nil)
}

// sorted makes no list and an empty one the same.
func sorted(list []string) []string {
	out := append([]string{}, list...)
	slices.Sort(out)
	return out
}
