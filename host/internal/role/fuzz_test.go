// SPDX-License-Identifier: MPL-2.0

package role

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A role record that is accepted is one that can be stored, and means the same then.
func FuzzDecodeRecord(f *testing.F) {
	r := disabledRecord()
	r.Performance = ModeRecord{
		Role: replication.Secondary, SetID: "set", Epoch: replication.Epoch{Generation: 3, ID: "e"},
		IndexKey:    make([]byte, 32),
		SecondaryID: "west", Pairing: make([]byte, 32), Contested: true,
	}
	raw, err := r.encode()
	require.NoError(f, err)
	r.Performance.Role, r.DR = replication.Primary, r.Performance
	both, err := r.encode()
	require.NoError(f, err)
	corpus.Add(f, raw, both)
	f.Add(append(raw, raw...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeRecord(raw)
		if err != nil {
			return
		}
		again, err := r.encode()
		require.NoError(t, err)
		same, err := decodeRecord(again)
		require.NoError(t, err)
		require.Equal(t, r.word(false), same.word(false))
		require.True(t, json.Valid(raw), "it is one record, and nothing else")
	})
}
