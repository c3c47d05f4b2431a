// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// unlisted is storage that does not list for a while.
type unlisted struct {
	physical.Backend
	err error
}

func (u *unlisted) List(ctx context.Context, prefix string) ([]string, error) {
	if u.err != nil {
		return nil, u.err
	}
	return u.Backend.List(ctx, prefix)
}

// What an arriving table of mounts changes in the classes of keys is owed until it was
// renewed.
func TestClassesThatCouldNotBeRenewedAreOwed(t *testing.T) {
	t.Parallel()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	u := &unlisted{Backend: inner, err: errors.New("the storage is busy")}
	logger := hclog.NewNullLogger()
	c := &observer{tap: storage.New(u, storage.Options{}), logger: logger, roles: &roles{record: disabledRecord()}}
	known := mounts.New(nil, c.tap, c.roles.follows, logger)
	c.term = &term{mounts: known}
	for table := range keyclass.Tables {
		_, err := known.Known().SetTable(table, nil)
		require.NoError(t, err)
	}
	_, err = known.Known().SetTable("core/mounts", []vaultname.Mount{{UUID: "gone", Path: "gone/", Type: "kv"}})
	require.NoError(t, err)
	b := new(txn.Batch)
	b.Delete("core/mounts")
	known.Arriving(t.Context(), b)
	over, end := context.WithCancel(t.Context())
	end()
	require.Equal(t, []string{"core/mounts"}, c.Applied(over, []string{"core/mounts"}), "the duty is over")
	require.Equal(t, []string{"core/mounts"}, c.Applied(t.Context(), []string{"core/mounts"}))
	require.Equal(t, []string{"core/mounts"}, c.Applied(t.Context(), []string{"sys/policy/p"}),
		"it is owed still")
	u.err = nil
	require.Empty(t, c.Applied(t.Context(), []string{"core/mounts"}))
}
