// SPDX-License-Identifier: MPL-2.0

package filter

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// A filter as the primary stores it and the secondary is sent it.
func FuzzDecode(f *testing.F) {
	rule := Following(Following(nil, Rule{Mode: Deny, Paths: []string{"kv/", "auth/ldap/"}}), Rule{Mode: Allow, Paths: []string{"kv/"}})
	raw, err := json.Marshal(rule)
	require.NoError(f, err)
	corpus.Add(f, raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Decode(raw)
		if err != nil {
			return
		}
		for _, path := range []string{"kv/", "auth/ldap/", "sys/"} {
			got.HidSince(1, path)
			require.False(t, System(path) && got.Hides(path))
		}
	})
}
