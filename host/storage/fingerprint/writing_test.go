// SPDX-License-Identifier: MPL-2.0

package fingerprint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// A key is deleted before the set is listed, and the index is told of it after the pass has gone by. The key was not
// counted, so it must not be subtracted.
func TestDeletionThatIsToldLate(t *testing.T) {
	t.Parallel()
	for name, upTo := range map[string]string{"in the middle": "z", "behind the last key": "a"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := fingerprint.NewIndex(fingerprint.NewHasher(fingerprint.Key{9}))
			x.Writing("k")
			p := x.Begin() // k is deleted by now, so it is not listed
			created, ok := p.Advance(upTo)
			require.True(t, ok)
			if upTo == "z" {
				require.Equal(t, []string{"k"}, created, "its lock has to be waited for")
			} else {
				require.Empty(t, created)
				add(p, "a", "1")
				done, _, ok := p.Finish()
				require.True(t, ok)
				require.False(t, done)
				key, ok := p.NextCreated()
				require.True(t, ok)
				require.Equal(t, "k", key)
			}
			x.Replace("k", []byte("v"), nil, 0)
			x.Written("k")
			if upTo == "z" {
				created, _ = p.Advance(upTo)
				require.Empty(t, created)
				p.Add([]string{"a", "k", "z"}, [][]byte{[]byte("1"), nil, []byte("2")})
			} else {
				created, _ = p.Advance("k")
				require.Empty(t, created)
				p.Add([]string{"k"}, [][]byte{nil})
			}
			done, _, ok := p.Finish()
			require.True(t, done && ok)
			root, _ := x.Root()
			want := map[string]string{"a": "1"}
			if upTo == "z" {
				want["z"] = "2"
			}
			require.Equal(t, scanned(t, want), root)
		})
	}
}
