// SPDX-License-Identifier: MPL-2.0

package role

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// withContent is a secondary whose filter hides secret/. It has content of secret/, of the visible kv/, and of a mount
// that no table has.
func withContent(t *testing.T) (s *standing, has func(view string) bool) {
	t.Helper()
	s = newStanding(t)
	ctx := t.Context()
	table, err := json.Marshal(&vault.MountTable{Type: "mounts", Entries: []*vault.MountEntry{
		{Table: "mounts", Path: "secret/", Type: "kv", UUID: s.secret, NamespaceID: namespace.RootNamespaceID},
		{Table: "mounts", Path: "kv/", Type: "kv", UUID: "ce11", NamespaceID: namespace.RootNamespaceID},
	}})
	require.NoError(t, err)
	require.NoError(t, s.core.PutEntry(ctx, "core/mounts", table))
	require.NoError(t, s.term.mounts.Load(ctx))
	for _, uuid := range []string{s.secret, "ce11", "90ne"} {
		require.NoError(t, s.core.PutEntry(ctx, "logical/"+uuid+"/a/b", []byte("v")))
	}
	return s, func(uuid string) bool {
		t.Helper()
		raw, err := s.core.GetEntry(ctx, "logical/"+uuid+"/a/b")
		require.NoError(t, err)
		return raw != nil
	}
}

// A secondary was killed before it deleted what its filter hides. It deletes that when it starts. Content that the
// filter lets in and that waits for a copy stays: the copy does not write equal keys again.
func TestClearHidden(t *testing.T) {
	s, has := withContent(t)
	ctx := t.Context()
	s.filter(t, "b", denyNo)
	s.starts(t)
	require.True(t, s.term.hiding.Hides("secret/", s.secret), "it is awaited")
	require.NoError(t, s.term.hiding.ClearHidden(ctx))
	require.True(t, has(s.secret))

	s.filter(t, "b", deny)
	s.starts(t)
	require.NoError(t, s.term.hiding.ClearHidden(ctx))
	require.False(t, has(s.secret))
	require.True(t, has("ce11"))
	require.True(t, has("90ne"), "that is no filter's")

	s.term.hiding.Forget()
	require.NoError(t, s.term.hiding.ClearHidden(ctx), "without a filter there is nothing to do")
	require.True(t, has("ce11"))
}

// A mount that is unmounted for a while keeps its content, as when two mounts swap paths or when a local mount has its
// path.
func TestClearView(t *testing.T) {
	s, has := withContent(t)
	ctx := t.Context()
	cursor := func(consistentFrom uint64) {
		b, err := (&journal.Cursor{Position: replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"},
			Sequence: 5}, ConsistentFrom: consistentFrom}).Encode()
		require.NoError(t, err)
		key := journal.CursorKey(replication.Performance)
		require.NoError(t, s.store.Put(ctx, &physical.Entry{Key: key, Value: b}))
	}
	cursor(6)
	require.Error(t, s.term.hiding.ClearView(ctx, "logical/90ne/"))
	require.True(t, has("90ne"), "the table without it may be older than one that was there before")
	cursor(5)
	for _, uuid := range []string{s.secret, "ce11", "90ne"} {
		require.NoError(t, s.term.hiding.ClearView(ctx, "logical/"+uuid+"/"))
	}
	require.False(t, has(s.secret), "the filter hides it")
	require.True(t, has("ce11"), "the primary has it")
	require.False(t, has("90ne"), "nobody has it")
}
