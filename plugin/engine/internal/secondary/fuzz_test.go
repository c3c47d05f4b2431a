// SPDX-License-Identifier: MPL-2.0

package secondary

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

// Whatever the record of the primary's addresses has, only valid addresses are dialled, and only a bounded number.
func FuzzDecodeAddresses(f *testing.F) {
	data, err := json.Marshal(addressRecord{
		Configured: []string{"https://lb.test:8201"}, Learnt: []string{"a.test:8201", "b.test:8201"}, Used: "b.test:8201",
		Failover: []string{"dr.test:8201"},
	})
	require.NoError(f, err)
	var many []string
	for i := range 2 * link.AddressesMax {
		many = append(many, strings.Repeat("a", i+1)+":1")
	}
	crowd, err := json.Marshal(addressRecord{Configured: many, Learnt: many, Failover: many})
	require.NoError(f, err)
	corpus.Add(f, data, []byte(`{"configured":null,"used":"http://a/b","failover":["a\nb:1","","c.test:0"]}`))
	f.Add(crowd)
	f.Add([]byte(`{"used":"` + strings.Repeat("a", replication.StateValueMax) + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeAddresses(data)
		if err != nil {
			require.Equal(t, addressRecord{}, r)
			return
		}
		require.LessOrEqual(t, len(data), replication.StateValueMax)
		require.LessOrEqual(t, len(r.Configured), link.AddressesMax)
		require.LessOrEqual(t, len(r.Learnt), link.AddressesMax)
		require.LessOrEqual(t, len(r.Failover), link.FailoverMax)
		all := slices.Concat(r.Configured, r.Learnt, r.Failover)
		if r.Used != "" {
			all = append(all, r.Used)
		}
		for _, a := range all {
			require.NoError(t, clusteraddr.Check(a))
		}
		again, err := json.Marshal(r)
		require.NoError(t, err)
		same, err := decodeAddresses(again)
		require.NoError(t, err)
		require.Equal(t, r.Used, same.Used)
		require.True(t, slices.Equal(r.Configured, same.Configured) && slices.Equal(r.Learnt, same.Learnt) &&
			slices.Equal(r.Failover, same.Failover))
	})
}
