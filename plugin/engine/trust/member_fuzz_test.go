// SPDX-License-Identifier: MPL-2.0

package trust

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// The record of a registered or revoked secondary belongs to the id in its name, and this id is a valid one.
func FuzzDecodeMember(f *testing.F) {
	at := time.Unix(1<<31, 0).UTC()
	for _, m := range []member{{ID: "we st", Serial: "7f01", Since: at},
		{ID: "we st", Serial: "7f01", Since: at, Revoked: at}} {
		data, err := json.Marshal(m)
		require.NoError(f, err)
		corpus.Add(f, data)
	}
	for _, id := range []string{"", "a/b", "a\n", strings.Repeat("x", idMax+1)} {
		data, err := json.Marshal(member{ID: id, Serial: "1"})
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// The record is read under the name that it claims: another one is refused.
		var claimed struct{ ID string }
		_ = json.Unmarshal(data, &claimed)
		for _, prefix := range []string{memberPrefix, revokedPrefix} {
			_, err := decodeMember(prefix, recordName(prefix, claimed.ID+"x"), data)
			require.Error(t, err)
			m, err := decodeMember(prefix, recordName(prefix, claimed.ID), data)
			if err != nil {
				continue
			}
			require.NoError(t, CheckID(m.ID))
			require.LessOrEqual(t, len(data), memberMax)
			require.NotEmpty(t, m.Serial)
			require.LessOrEqual(t, len(m.Serial), serialMax)
			again, err := json.Marshal(m)
			require.NoError(t, err)
			same, err := decodeMember(prefix, recordName(prefix, m.ID), again)
			require.NoError(t, err)
			require.Equal(t, m.ID, same.ID)
			require.Equal(t, m.Serial, same.Serial)
			require.True(t, m.Revoked.Equal(same.Revoked))
		}
	})
}
