// SPDX-License-Identifier: MPL-2.0

package fingerprint_test

import (
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// Addition and subtraction are those of numbers modulo 2^256.
func TestSum(t *testing.T) {
	t.Parallel()
	mod := new(big.Int).Lsh(big.NewInt(1), 256)
	h := fingerprint.NewHasher(fingerprint.Key{})
	var s fingerprint.Sum
	want := new(big.Int)
	for i := range 200 {
		v := make([]byte, 16)
		_, _ = rand.Read(v)
		e := h.Element("k", v)
		b := e.Bytes()
		n := new(big.Int).SetBytes(b[:])
		if i%3 == 0 {
			s.Sub(e)
			want.Sub(want, n)
		} else {
			s.Add(e)
			want.Add(want, n)
		}
		want.Mod(want, mod)
		got := s.Bytes()
		require.Zero(t, want.Cmp(new(big.Int).SetBytes(got[:])))
	}
}

func TestElementsDiffer(t *testing.T) {
	t.Parallel()
	h := fingerprint.NewHasher(fingerprint.Key{1})
	seen := map[fingerprint.Sum]bool{}
	for _, p := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a", "bd"}} {
		seen[h.Element(p[0], []byte(p[1]))] = true
	}
	require.Len(t, seen, 5)
	require.NotEqual(t, h.Element("a", nil), fingerprint.NewHasher(fingerprint.Key{2}).Element("a", nil))
	require.NotEqual(t, h.Root(fingerprint.Sum{}, 0), h.Root(fingerprint.Sum{}, 1))
}

func scanned(t *testing.T, content map[string]string) []byte {
	t.Helper()
	tr := fingerprint.NewTracker(fingerprint.NewHasher(fingerprint.Key{9}))
	scan := tr.BeginScan()
	done, ok := tr.Finish(scan)
	require.True(t, done && ok)
	for k, v := range content {
		tr.Replace(k, nil, []byte(v))
	}
	root, n := tr.Root()
	require.Equal(t, uint64(len(content)), n)
	return root
}

// Writes on all sides of a scan: the result is that of the final content.
func TestScanBesideWrites(t *testing.T) {
	t.Parallel()
	tr := fingerprint.NewTracker(fingerprint.NewHasher(fingerprint.Key{9}))
	root, _ := tr.Root()
	require.Nil(t, root)
	tr.Replace("before", nil, []byte("any scan"))

	scan := tr.BeginScan()
	created, ok := tr.Advance(scan, "b")
	require.True(t, ok)
	require.Empty(t, created)
	tr.Add(scan, "a", []byte("1"))
	tr.Add(scan, "b", []byte("1"))
	tr.Replace("a", []byte("1"), []byte("2")) // passed: counts
	tr.Replace("aa", nil, []byte("new"))      // passed: counts
	tr.Replace("b", []byte("1"), nil)         // passed: counts
	tr.Replace("m", nil, []byte("new"))       // ahead, created: remembered
	tr.Replace("x", []byte("1"), []byte("2")) // ahead, will be read
	root, _ = tr.Root()
	require.Nil(t, root, "unknown until the scan ends")

	created, ok = tr.Advance(scan, "x")
	require.True(t, ok)
	require.Equal(t, []string{"m"}, created, "the scan has to read it too")
	created, ok = tr.Advance(scan, "x")
	require.True(t, ok)
	require.Empty(t, created)
	tr.Add(scan, "m", []byte("new"))
	tr.Add(scan, "x", []byte("2"))
	tr.Replace("z", nil, []byte("late"))
	done, ok := tr.Finish(scan)
	require.True(t, ok)
	require.False(t, done)
	k, ok := tr.NextCreated(scan, "")
	require.True(t, ok)
	require.Equal(t, "z", k)
	_, _ = tr.Advance(scan, k)
	tr.Add(scan, k, []byte("late"))
	done, ok = tr.Finish(scan)
	require.True(t, ok && done)

	root, n := tr.Root()
	require.Equal(t, uint64(5), n)
	require.Equal(t, scanned(t, map[string]string{"a": "2", "aa": "new", "m": "new", "x": "2", "z": "late"}), root)
}

func TestInvalidateEndsTheScan(t *testing.T) {
	t.Parallel()
	tr := fingerprint.NewTracker(fingerprint.NewHasher(fingerprint.Key{9}))
	scan := tr.BeginScan()
	tr.Invalidate()
	require.False(t, tr.Current(scan))
	_, ok := tr.Advance(scan, "a")
	require.False(t, ok)
	tr.Add(scan, "a", []byte("x"))
	_, ok = tr.Finish(scan)
	require.False(t, ok)
	scan = tr.BeginScan()
	done, ok := tr.Finish(scan)
	require.True(t, done && ok)
	root, n := tr.Root()
	require.Zero(t, n)
	require.Equal(t, scanned(t, nil), root)
}
