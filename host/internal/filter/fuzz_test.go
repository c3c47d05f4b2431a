// SPDX-License-Identifier: MPL-2.0

package filter

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// A filter as the primary stores it and the secondary is sent it.
func FuzzDecode(f *testing.F) {
	rule := Following(Following(nil, Rule{Mode: Deny, Paths: []string{"kv/", "auth/ldap/"}}),
		Rule{Mode: Allow, Paths: []string{"kv/"}})
	raw, err := json.Marshal(rule)
	require.NoError(f, err)
	corpus.Add(f, raw)
	rule.Former = slices.Repeat(rule.Former, mostFormer)
	raw, err = json.Marshal(rule)
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Decode(raw)
		if err != nil {
			return
		}
		for _, path := range []string{"kv/", "auth/ldap/", "sys/"} {
			got.HidSince(1, path)
			require.False(t, System(path) && got.Hides(path))
		}
		if got == nil {
			require.Nil(t, raw)
			return
		}
		require.LessOrEqual(t, len(got.Former), mostFormer)
		again, err := got.Encode()
		require.NoError(t, err)
		same, err := Decode(again)
		require.NoError(t, err)
		require.Equal(t, got.Number(), same.Number())
		for _, path := range got.Paths {
			require.Equal(t, got.Hides(path), same.Hides(path))
			require.Equal(t, got.HidSince(1, path), same.HidSince(1, path))
		}
		require.LessOrEqual(t, len(Following(got, Rule{Mode: None}).Former), mostFormer)
	})
}
