// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What the plugin and the network bring of the primary's keys: sealed, and what is in it.
func FuzzOpen(f *testing.F) {
	m := &Material{
		SetID: "set", Epoch: replication.Epoch{Generation: 1, ID: "e"}, IndexKey: make([]byte, 32), RootKey: []byte("root"),
		Shares: []byte("share"), ShareConfig: ShareConfig{3, 2}, Rows: map[string][]byte{"core/keyring": []byte("k"),
			"core/master": nil},
	}
	plain, err := m.encode()
	require.NoError(f, err)
	b := Binding{Mode: replication.DR, SetID: "set", SecondaryID: "b", Challenge: make([]byte, 32)}
	pairing := make([]byte, 32)
	sealed, err := Seal(pairing, b, m)
	require.NoError(f, err)
	m.ShareConfig = ShareConfig{-1, 2}
	negative, err := m.encode()
	require.NoError(f, err)
	corpus.Add(f, plain, sealed)
	f.Add(negative)
	other := make([]byte, 32)
	other[0] = 1
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, err := decode(raw); err == nil {
			require.GreaterOrEqual(t, m.ShareConfig.Threshold, 0)
			require.LessOrEqual(t, m.ShareConfig.Threshold, m.ShareConfig.Shares)
			again, err := m.encode()
			require.NoError(t, err)
			_, err = decode(again)
			require.NoError(t, err)
			m.Wipe()
		}
		_, err := Open(other, b, raw)
		require.Error(t, err, "nobody has sealed it with this key")
	})
}
