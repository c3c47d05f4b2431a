// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// The checksum would hide the decoder from the fuzzer, so it is put right.
func FuzzDecode(f *testing.F) {
	record, err := encode([]Row{{"core/keyring", []byte("k\x00")}, {"gone", nil}, {"", []byte{}}})
	require.NoError(f, err)
	corpus.Add(f, record)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 {
			b = append(binary.BigEndian.AppendUint32(nil, checksum(b[4:])), b[4:]...)
		}
		rows, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(rows)
		require.NoError(t, err)
		same, err := decode(again)
		require.NoError(t, err)
		require.Equal(t, len(rows), len(same))
	})
}
