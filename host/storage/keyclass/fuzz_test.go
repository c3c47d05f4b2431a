// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// The record of the local paths that external backends declare.
func FuzzDecodeDeclared(f *testing.F) {
	raw, err := Declared{"8a1f": {"local/", "cache"}, "77c0": nil, "00": {""}}.Encode()
	require.NoError(f, err)
	corpus.Add(f, raw, []byte(`null`), []byte(`{"a/b":[]}`), []byte(`{"":null}`))
	f.Add([]byte(`{"a":["` + strings.Repeat("x", declaredMax) + `"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := DecodeDeclared(raw)
		if err != nil {
			require.Nil(t, d)
			return
		}
		require.LessOrEqual(t, len(raw), declaredMax)
		m := NewMounts()
		for uuid, prefixes := range d {
			require.NotContains(t, uuid, "/")
			m.SetRecorded(d)
			have, known := m.Recorded(uuid)
			require.True(t, known)
			require.Len(t, have, len(prefixes))
		}
		again, err := d.Encode()
		if err != nil {
			return // with its quotes escaped it has become too long
		}
		same, err := DecodeDeclared(again)
		require.NoError(t, err)
		require.Len(t, same, len(d))
		for uuid, prefixes := range d {
			require.Equal(t, prefixes, same[uuid])
		}
		d["new"] = nil // must not be nil
	})
}
