// SPDX-License-Identifier: MPL-2.0

package replication

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachModeIsARowOfTheTable(t *testing.T) {
	t.Parallel()
	require.Equal(t, []Mode{DR, Performance}, Modes())
	seen := map[string]bool{}
	for _, m := range Modes() {
		parsed, err := ParseMode(string(m))
		require.NoError(t, err)
		require.Equal(t, m, parsed)
		require.NotEmpty(t, m.Name())
		require.NotEmpty(t, m.Paths())
		for _, own := range append(m.Paths(), m.ALPN(), m.Name()) {
			require.False(t, seen[own], "%s is of two modes", own)
			seen[own] = true
		}
		require.Contains(t, m.Paths(), "replication/"+string(m)+"/")
		require.Falsef(t, m.StandsIn() && !m.ReplicatesLocal(),
			"%s: what is not a whole copy cannot take over the roles of its primary", m)
		require.Falsef(t, m.ServesClients() && m.ReplicatesLocal(),
			"%s: tokens of its own and those of its primary would be the same keys", m)
	}
	_, err := ParseMode("backup")
	require.ErrorContains(t, err, `unknown replication mode "backup"`)
	require.Equal(t, "backup", Mode("backup").Name())
}
