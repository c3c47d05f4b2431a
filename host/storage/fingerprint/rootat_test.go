// SPDX-License-Identifier: MPL-2.0

package fingerprint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// The fingerprint of a watermark has no writes above it. RootAt gives no answer when it no longer can, or cannot yet.
func TestRootAtAWatermark(t *testing.T) {
	t.Parallel()
	x := fingerprint.NewIndex(fingerprint.NewHasher(fingerprint.Key{9}))
	root, _ := x.RootAt(1, 1)
	require.Nil(t, root, "unknown")
	p := x.Begin()
	x.Replace("before", nil, []byte("1"), 3) // while it is read
	for ok := true; ok; {
		var key string
		if key, ok = p.NextCreated(); ok {
			_, _ = p.Advance(key)
			add(p, key, "1")
		}
	}
	done, _, _ := p.Finish()
	require.True(t, done)
	root, _ = x.RootAt(2, 4)
	require.Nil(t, root, "numbers up to 4 may be in it")
	x.Replace("a", nil, []byte("1"), 5)
	x.Replace("a", []byte("1"), []byte("2"), 7)
	x.Replace("b", nil, []byte("1"), 6)
	at4, n := x.RootAt(4, 7)
	require.Equal(t, uint64(1), n)
	require.Equal(t, scanned(t, map[string]string{"before": "1"}), at4)
	at6, n := x.RootAt(6, 7)
	require.Equal(t, uint64(3), n)
	require.Equal(t, scanned(t, map[string]string{"before": "1", "a": "1", "b": "1"}), at6)
	root, _ = x.RootAt(5, 7)
	require.Nil(t, root, "what 6 has changed is forgotten")
	at7, _ := x.RootAt(7, 7)
	now, _ := x.Root()
	require.Equal(t, now, at7)
	x.Replace("b", []byte("1"), nil, 8)
	x.Settled(8)
	root, _ = x.RootAt(7, 8)
	require.Nil(t, root)
	at8, _ := x.RootAt(8, 8)
	require.Equal(t, scanned(t, map[string]string{"before": "1", "a": "2"}), at8)
}
