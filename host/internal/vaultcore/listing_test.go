// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"
)

// Raft's storage lists what begins with any prefix, which is nothing that Vault promises.
func TestRaftListsAnyPrefix(t *testing.T) {
	t.Parallel()
	fsm, err := raft.NewFSM(t.TempDir(), "node", hclog.NewNullLogger())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, fsm.Close()) })
	for _, key := range []string{"d/ab", "d/ab/x", "d/ab/y/z", "d/abc", "d/abc/e/f", "d/abd/", "d/b", "e"} {
		require.NoError(t, fsm.Put(t.Context(), &physical.Entry{Key: key, Value: []byte("x")}))
	}
	for prefix, want := range map[string][]string{
		"d/ab": {"", "/", "c", "c/", "d/"}, "d/abc": {"", "/"}, "d/a": {"b", "b/", "bc", "bc/", "bd/"}, "d/x": nil,
	} {
		names, err := fsm.List(t.Context(), prefix)
		require.NoError(t, err)
		slices.Sort(names)
		require.Equal(t, want, names, prefix)
	}
}
