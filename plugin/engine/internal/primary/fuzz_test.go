// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Where a slot was opened: a position that can be compared, or none.
func FuzzDecodeOpened(f *testing.F) {
	data, err := json.Marshal(replication.Position{Epoch: replication.Epoch{Generation: 2, ID: "e"}, Term: 3 << 40,
		Sequence: 17})
	require.NoError(f, err)
	corpus.Add(f, data, []byte(`{"Sequence":7}`), []byte(`{"Epoch":{"ID":"e"},"Sequence":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decodeOpened(data)
		if (p == replication.Position{}) {
			return
		}
		require.LessOrEqual(t, len(data), openedMax)
		require.False(t, p.Epoch.IsZero())
		again, err := json.Marshal(p)
		require.NoError(t, err)
		if len(again) <= openedMax {
			require.Equal(t, p, decodeOpened(again))
		}
	})
}

// The addresses of a secondary: as many as are kept, each of them one that can be dialled.
func FuzzDecodeNode(f *testing.F) {
	data, err := json.Marshal([]string{"https://a.test:8201", "b.test:8201"})
	require.NoError(f, err)
	many, err := json.Marshal(slices.Repeat([]string{"a.test:1"}, 2*link.AddressesMax))
	require.NoError(f, err)
	corpus.Add(f, data, many, []byte(`["http://a.test:1","a:1/b","a\nb:1",""]`))
	f.Add([]byte(`["` + strings.Repeat("a", replication.StateValueMax) + `","a:1"]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, addresses := decodeNode(nodeKey("we st"), data)
		if len(addresses) == 0 {
			return
		}
		require.Equal(t, "we st", id)
		require.LessOrEqual(t, len(data), replication.StateValueMax)
		require.LessOrEqual(t, len(addresses), link.AddressesMax)
		for i, a := range addresses {
			require.NoError(t, clusteraddr.Check(a))
			require.NotContains(t, addresses[:i], a)
		}
		again, err := json.Marshal(addresses)
		require.NoError(t, err)
		_, same := decodeNode(nodeKey("we st"), again)
		require.Equal(t, addresses, same)
	})
}
