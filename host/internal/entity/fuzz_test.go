// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// What a secondary's host asks of its primary's for a login, and the answer.
func FuzzDecode(f *testing.F) {
	corpus.Add(f,
		encode(&Ensure{Accessor: "auth_userpass_1", Type: "userpass", Name: "ann\xff", Metadata: map[string]string{"a": "b"},
			Groups: []string{"g"}, Refresh: true}),
		encode(&Groups{EntityID: "e", Accessor: "a", Aliases: []string{"g"}}),
		encode(&Members{GroupID: "g", Add: []string{"e"}, Remove: []string{"d"}}),
		encode(&Entity{ID: "e", Stored: []byte{1, 2}, Refused: "no"}),
		[]byte(`{"id":"e"} {"id":"f"}`),
	)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{new(Ensure), new(Groups), new(Members), new(Entity)} {
			if strictjson.Decode(body, into) != nil {
				continue
			}
			// What is done is what is audited.
			var fields map[string]any
			require.NoError(t, json.Unmarshal(body, &fields))
			fresh := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			require.NoError(t, strictjson.Decode(encode(into), fresh))
			require.Equal(t, string(encode(into)), string(encode(fresh)))
		}
	})
}
