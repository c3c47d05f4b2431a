// SPDX-License-Identifier: MPL-2.0

package role

import (
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A newer binary brings the mount tables up to date while it starts, and stays
// sealed when one of them cannot be written: the shared and the local one, though
// it has only changed one of the two.
func TestTablesMayBeUpgradedAtTheStart(t *testing.T) {
	t.Parallel()
	local := []string{"core/local-mounts", "core/local-auth", "core/local-audit"}
	for name, tc := range map[string]struct {
		secondary     []replication.Mode
		bootstrapping bool
		// writesLocal says that the cluster has local tables of its own to upgrade.
		writesLocal bool
	}{
		"DR":                            {secondary: []replication.Mode{replication.DR}},
		"performance":                   {secondary: []replication.Mode{replication.Performance}, writesLocal: true},
		"performance, bootstrapping":    {secondary: []replication.Mode{replication.Performance}, bootstrapping: true},
		"DR of a performance secondary": {secondary: modes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
			require.NoError(t, err)
			tap := storage.New(inner, storage.Options{})
			core, err := vaultcore.Attach(vault.TestCore(t))
			require.NoError(t, err)
			c := &term{core: core, tap: tap, roles: new(roles)}
			c.roles.bootstrapping.Store(tc.bootstrapping)
			r := disabledRecord()
			for _, m := range tc.secondary {
				r.mode(m).Role = replication.Secondary
			}
			require.NoError(t, c.enforce(ctx, r, true))

			for table := range keyclass.Tables {
				require.NoError(t, tap.Backend().Put(ctx, &physical.Entry{Key: table, Value: []byte("upgraded")}), table)
			}
			for table := range keyclass.Tables {
				e, err := inner.Get(ctx, table)
				require.NoError(t, err)
				written := e != nil
				require.Equal(t, tc.writesLocal && slices.Contains(local, table), written, table)
			}
			require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/plugin-catalog/auth/a"}), logical.ErrReadOnly)

			c.endStartup(ctx)
			for table := range keyclass.Tables {
				err := tap.Backend().Put(ctx, &physical.Entry{Key: table, Value: []byte("of a request")})
				if tc.writesLocal && slices.Contains(local, table) {
					require.NoError(t, err, table)
				} else {
					require.ErrorIs(t, err, logical.ErrReadOnly, table)
				}
			}
		})
	}
}
