// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// declares is a backend that says what of its storage is local.
type declares struct {
	logical.Backend
	local []string
}

func (d declares) SpecialPaths() *logical.Paths { return &logical.Paths{LocalStorage: d.local} }

// The primary decides which local paths of a plugin count. A secondary classifies as its primary does, even if it loads
// another version of the plugin or cannot load it.
func TestSecondaryClassifiesByThePrimarysWord(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	s.tap.Classes().SetMounts(s.term.mounts.Known())
	table := func() {
		_, err := s.term.mounts.Known().SetTable("core/mounts", []vaultname.Mount{{UUID: "ext", Type: "own", External: true}})
		require.NoError(t, err)
	}
	table()
	class := func(key string) keyclass.Class { return s.tap.Classes().Class("logical/ext/" + key) }
	m := vaultname.Mount{Path: "ext/", StoragePrefix: "logical/ext/", Type: "own", External: true}

	require.NoError(t, s.term.mounts.LearnBackend(ctx, m, declares{local: []string{"mine/"}}))
	require.Equal(t, keyclass.Unknown, class("a"), "the primary does not know it")
	raw, err := s.core.GetEntry(ctx, keyclass.DeclaredKey)
	require.NoError(t, err)
	require.Nil(t, raw)

	// The primary's record arrives.
	record, err := keyclass.Declared{"ext": {"here/"}}.Encode()
	require.NoError(t, err)
	sealed, err := s.core.Encrypt(ctx, keyclass.DeclaredKey, record)
	require.NoError(t, err)
	b := new(txn.Batch)
	b.Put(&physical.Entry{Key: keyclass.DeclaredKey, Value: sealed})
	s.term.mounts.Arriving(ctx, b)
	require.NoError(t, s.term.mounts.Settle(ctx))
	require.NoError(t, s.store.Put(ctx, &physical.Entry{Key: keyclass.DeclaredKey, Value: sealed}))
	require.NoError(t, s.term.mounts.LearnBackend(ctx, m, declares{local: []string{"mine/"}}))
	require.Equal(t, []keyclass.Class{keyclass.Shared, keyclass.Local, keyclass.Shared},
		[]keyclass.Class{class("a"), class("here/a"), class("mine/a")})

	// It is promoted, without the plugin first.
	s.tap.Observe(s.storage)
	s.roles.record.Performance.Role = replication.Primary
	require.NoError(t, s.term.mounts.Load(ctx))
	table()
	require.Equal(t, []keyclass.Class{keyclass.Shared, keyclass.Local, keyclass.Shared},
		[]keyclass.Class{class("a"), class("here/a"), class("mine/a")})
	require.NoError(t, s.term.mounts.LearnBackend(ctx, m, declares{local: []string{"mine/"}}))
	require.Equal(t, []keyclass.Class{keyclass.Shared, keyclass.Shared, keyclass.Local},
		[]keyclass.Class{class("a"), class("here/a"), class("mine/a")})
	raw, err = s.core.GetEntry(ctx, keyclass.DeclaredKey)
	require.NoError(t, err)
	declared, err := keyclass.DecodeDeclared(raw)
	require.NoError(t, err)
	require.Equal(t, keyclass.Declared{"ext": {"mine/"}}, declared)

	// The record is gone, as in a cluster that joins another set.
	b = new(txn.Batch)
	b.Delete(keyclass.DeclaredKey)
	s.term.mounts.Arriving(ctx, b)
	s.term.mounts.Known().Unload()
	require.Equal(t, keyclass.Unknown, class("a"))
}
