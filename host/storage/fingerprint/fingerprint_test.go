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
	x := fingerprint.NewIndex(fingerprint.NewHasher(fingerprint.Key{9}))
	done, wrong, ok := x.Begin().Finish()
	require.True(t, done && ok)
	require.False(t, wrong)
	for k, v := range content {
		x.Replace(k, nil, []byte(v), 0)
	}
	root, n := x.Root()
	require.Equal(t, uint64(len(content)), n)
	return root
}

func add(p *fingerprint.Pass, pairs ...string) {
	var keys []string
	var values [][]byte
	for i := 0; i < len(pairs); i += 2 {
		keys, values = append(keys, pairs[i]), append(values, []byte(pairs[i+1]))
	}
	p.Add(keys, values)
}

// Writes on all sides of a pass: the result is that of the final content.
func TestPassBesideWrites(t *testing.T) {
	t.Parallel()
	x := fingerprint.NewIndex(fingerprint.NewHasher(fingerprint.Key{9}))
	root, _ := x.Root()
	require.Nil(t, root)
	x.Replace("before", nil, []byte("any pass"), 0)

	p := x.Begin()
	created, ok := p.Advance("b")
	require.True(t, ok)
	require.Empty(t, created)
	x.Replace("aaa", nil, []byte("new"), 0) // told before the values are added: counts
	add(p, "a", "1", "b", "1")
	x.Replace("a", []byte("1"), []byte("2"), 0) // passed: counts
	x.Replace("aa", nil, []byte("new"), 0)      // passed: counts
	x.Replace("b", []byte("1"), nil, 0)         // passed: counts
	x.Replace("m", nil, []byte("new"), 0)       // ahead, created: remembered
	x.Replace("x", []byte("1"), []byte("2"), 0) // ahead, will be read
	root, _ = x.Root()
	require.Nil(t, root, "unknown until the pass ends")

	created, ok = p.Advance("x")
	require.True(t, ok)
	require.Equal(t, []string{"m"}, created, "the pass has to read it too")
	created, ok = p.Advance("x")
	require.True(t, ok)
	require.Empty(t, created)
	add(p, "m", "new", "x", "2")
	x.Replace("z", nil, []byte("late"), 0)
	done, _, ok := p.Finish()
	require.True(t, ok)
	require.False(t, done)
	k, ok := p.NextCreated()
	require.True(t, ok)
	require.Equal(t, "z", k)
	_, _ = p.Advance(k)
	add(p, k, "late")
	done, wrong, ok := p.Finish()
	require.True(t, ok && done)
	require.False(t, wrong)

	root, n := x.Root()
	require.Equal(t, uint64(6), n)
	require.Equal(t, scanned(t, map[string]string{"a": "2", "aa": "new", "aaa": "new", "m": "new", "x": "2", "z": "late"}),
		root)
}

func TestInvalidateEndsThePass(t *testing.T) {
	t.Parallel()
	x := fingerprint.NewIndex(fingerprint.NewHasher(fingerprint.Key{9}))
	p := x.Begin()
	x.Invalidate()
	require.False(t, p.Current())
	_, ok := p.Advance("a")
	require.False(t, ok)
	add(p, "a", "x")
	_, _, ok = p.Finish()
	require.False(t, ok)
	done, _, ok := x.Begin().Finish()
	require.True(t, done && ok)
	root, n := x.Root()
	require.Zero(t, n)
	require.Equal(t, scanned(t, nil), root)
}
