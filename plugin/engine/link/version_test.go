// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestVersionsOfBothEnds(t *testing.T) {
	t.Parallel()
	const newest, oldest = link.ProtocolVersion, link.OldestVersion
	for _, c := range []struct {
		newest, oldest, want uint32
		upgrade              string
	}{
		{newest: newest, oldest: oldest, want: newest},
		{newest: newest, want: newest},
		{newest: oldest, want: oldest},
		{newest: newest + 1, oldest: newest, want: newest},
		{newest: newest + 7, oldest: 1, want: newest},
		{newest: newest + 1, oldest: newest + 1, upgrade: "primary"},
		{newest: newest + 1, upgrade: "primary"},
		{newest: oldest - 1, upgrade: "secondary"},
		{newest: oldest - 1, oldest: newest, upgrade: "secondary"},
		{upgrade: "secondary"},
	} {
		got, err := link.Agree(c.newest, c.oldest)
		require.Equal(t, c.want, got)
		if c.upgrade == "" {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, replication.InvalidInput, replication.KindOf(err))
		require.EqualError(t, err, fmt.Sprintf("the secondary speaks version %d of the link protocol and the primary "+
			"version %d, and they have none in common: upgrade the %s", c.newest, newest, c.upgrade))
	}
	require.NoError(t, link.CheckVersion(newest))
	require.ErrorContains(t, link.CheckVersion(oldest-1), "upgrade the primary")
	require.ErrorContains(t, link.CheckVersion(newest+1), "upgrade the secondary")
}
