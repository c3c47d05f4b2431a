// SPDX-License-Identifier: MPL-2.0

package mounttable

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// A table that the primary has written, whatever version it is of.
func FuzzDecode(f *testing.F) {
	table := []byte(`{"type":"mounts","entries":[{"table":"mounts","path":"kv/","type":"kv","uuid":"u","accessor":"kv_1","local":true,` +
		`"config":{"default_lease_ttl":1,"plugin_name":"kv"},"options":{"version":"2"},"namespace_id":"root","later":[1]}]}`)
	corpus.Add(f, table, []byte(`{"entries":[null]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := Decode(raw)
		if err != nil {
			return
		}
		for _, e := range entries {
			require.True(t, json.Valid(e.Raw))
			require.NotEmpty(t, e.Settings())
			e.Singleton()
		}
	})
}
