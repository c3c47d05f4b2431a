// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/version"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A role is never written if the next unseal could not read it, whatever a plugin asks for.
func TestUnreadableRolesAreNotWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Record){
		"empty role":    func(r *Record) { r.DR.Role = "" },
		"invented role": func(r *Record) { r.DR.Role = "leader" },
		"no set":        func(r *Record) { r.DR.SetID = "" },
		"no epoch":      func(r *Record) { r.DR.Epoch = replication.Epoch{} },
		"bootstrapping": func(r *Record) { r.DR.Role = replication.Bootstrapping },
	} {
		r := drSecondary()
		spoil(r)
		rows := map[string][]byte{}
		require.Error(t, withRole(rows, r), name)
		require.Empty(t, rows, name)
	}
	rows := map[string][]byte{}
	require.NoError(t, withRole(rows, drSecondary()))
	require.Contains(t, rows, recordKey)
}

func TestLaggard(t *testing.T) {
	t.Parallel()
	status := &replication.Status{Secondaries: []replication.Peer{
		{NodeID: "done", Connected: true, Acknowledged: 10},
		{NodeID: "gone", Connected: false, Acknowledged: 3},
		{NodeID: "behind", Connected: true, Acknowledged: 9},
	}}
	require.Equal(t, "behind", laggard(status, 10, time.Second))
	require.Empty(t, laggard(status, 9, time.Second), "a secondary that is away holds nothing up")
}

func TestNewerPrimaryIsTold(t *testing.T) {
	t.Parallel()
	same, err := isNewer(version.GetVersion().VersionNumber())
	require.NoError(t, err)
	require.False(t, same)
	newer, err := isNewer("99.0.0")
	require.NoError(t, err)
	require.True(t, newer)
	_, err = isNewer("")
	require.Error(t, err)
}

func TestEpochsGrowAndDiffer(t *testing.T) {
	t.Parallel()
	first, err := newHistory(replication.Epoch{})
	require.NoError(t, err)
	one, err := newReign(first)
	require.NoError(t, err)
	other, err := newReign(first)
	require.NoError(t, err)
	require.Greater(t, one.Generation, first.Generation)
	require.Equal(t, one.Generation, other.Generation)
	require.NotEqual(t, one.ID, other.ID, "two promotions of one state must be told apart")

	// A primary whose storage has gone back in time begins an epoch and dies before the promoted secondary has heard of
	// it. A cluster that has seen this epoch still follows the promoted one.
	for _, from := range []replication.Epoch{first, one} {
		seen := from
		for range 3 {
			seen, err = newHistory(seen)
			require.NoError(t, err)
			promoted, err := newReign(from)
			require.NoError(t, err)
			require.Greater(t, promoted.Generation, seen.Generation)
		}
	}
}
