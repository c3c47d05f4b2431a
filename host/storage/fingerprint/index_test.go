// SPDX-License-Identifier: MPL-2.0

package fingerprint_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// model is a set, and an index that is told of its changes.
type model struct {
	rnd *rand.Rand
	set map[string][]byte
	x   *fingerprint.Index
	h   *fingerprint.Hasher
}

func newModel(seed uint64) *model {
	h := fingerprint.NewHasher(fingerprint.Key{7})
	return &model{rnd: rand.New(rand.NewPCG(seed, 1)), set: map[string][]byte{}, x: fingerprint.NewIndex(h), h: h}
}

func (m *model) put(key string, value []byte) {
	before := m.set[key]
	if value == nil {
		delete(m.set, key)
	} else {
		m.set[key] = value
	}
	m.x.Replace(key, before, value, 0)
}

// change writes a key that is not being read.
func (m *model) change(locked []string) {
	key := fmt.Sprintf("k/%05d", m.rnd.IntN(9000))
	if slices.Contains(locked, key) {
		return
	}
	if m.set[key] != nil && m.rnd.IntN(3) == 0 {
		m.put(key, nil)
		return
	}
	m.put(key, fmt.Appendf(nil, "%d", m.rnd.Uint32()))
}

func (m *model) changes(n int, locked []string) {
	for range n {
		m.change(locked)
	}
}

// pass reads the set in groups, with changes at every step.
func (m *model) pass(t *testing.T, busy int) (wrong bool) {
	t.Helper()
	p := m.x.Begin()
	listed := slices.Sorted(maps.Keys(m.set))
	read := func(keys []string) {
		m.changes(m.rnd.IntN(busy+1), nil)
		for {
			created, ok := p.Advance(keys[len(keys)-1])
			require.True(t, ok)
			if len(created) == 0 {
				break
			}
			keys = append(keys, created...)
			slices.Sort(keys)
			keys = slices.Compact(keys)
			m.changes(m.rnd.IntN(busy+1), nil)
		}
		values := make([][]byte, len(keys))
		for i, key := range keys {
			values[i] = m.set[key]
		}
		m.changes(m.rnd.IntN(busy+1), keys)
		p.Add(keys, values)
	}
	for group := range slices.Chunk(listed, 1+m.rnd.IntN(64)) {
		read(slices.Clone(group))
	}
	for {
		done, wrong, ok := p.Finish()
		require.True(t, ok)
		if done {
			return wrong
		}
		for key, ok := p.NextCreated(); ok; key, ok = p.NextCreated() {
			read([]string{key})
		}
	}
}

// check compares every cut of the index with the set itself.
func (m *model) check(t *testing.T) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(m.set))
	for level := fingerprint.CutLevel; level < 16; level++ {
		var want []fingerprint.Range
		part := fingerprint.Range{}
		for _, key := range keys {
			part.Sum.Add(m.h.Element(key, m.set[key]))
			part.Count++
			if m.h.Level(key) >= level {
				part.UpTo = key
				want = append(want, part)
				part = fingerprint.Range{}
			}
		}
		want = append(want, part)
		got, ok := m.x.Cut("", "", level)
		require.True(t, ok)
		require.Len(t, got, len(want))
		for i := range got {
			require.Equal(t, want[i].UpTo, got[i].UpTo)
			require.Equal(t, want[i].Count, got[i].Count, "up to %q", got[i].UpTo)
			require.Equal(t, want[i].Sum, got[i].Sum)
		}
	}
	_, n := m.x.Root()
	require.Equal(t, uint64(len(keys)), n)
}

// Writes run beside reads. In the end the ranges are those of the content: cut at its own keys, with their sums.
func TestIndexIsThatOfItsContent(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(seed)
			m.changes(m.rnd.IntN(6000), nil)
			require.False(t, m.pass(t, 40), "nothing was known before")
			for range 4 {
				m.changes(m.rnd.IntN(3000), nil)
				require.False(t, m.pass(t, 20))
			}
			require.False(t, m.pass(t, 0))
			m.check(t)
			m.changes(m.rnd.IntN(3000), nil)
			require.False(t, m.pass(t, 0))
			m.check(t)
		})
	}
}

// A pass finds where the storage differs from what the index was told. The index is corrected there before the pass
// ends.
func TestPassFindsWhatTheIndexWasNotTold(t *testing.T) {
	t.Parallel()
	m := newModel(1)
	m.changes(6000, nil)
	m.pass(t, 0)
	was, _ := m.x.Root()
	keys := slices.Sorted(maps.Keys(m.set))
	m.set[keys[1000]] = []byte("changed below")
	p := m.x.Begin()
	values := make([][]byte, len(keys))
	for i := range keys {
		values[i] = m.set[keys[i]]
	}
	_, _ = p.Advance(keys[2500])
	p.Add(keys[:2501], values[:2501])
	now, _ := m.x.Root()
	require.NotEqual(t, was, now)
	p.End()
	m.check(t)
	delete(m.set, keys[1000])
	require.True(t, m.pass(t, 0))
	m.check(t)
	require.False(t, m.pass(t, 0))
}

// Two sets with the same keys are cut at the same places and say where they differ.
func TestCutsDependOnTheKeysAlone(t *testing.T) {
	t.Parallel()
	a, b := newModel(1), newModel(2)
	b.pass(t, 0) // one grows, the other is read at once
	for i := range 5000 {
		key, value := fmt.Sprintf("k/%05d", (i*7919)%5000), []byte("v")
		a.set[key] = value
		b.put(key, value)
	}
	a.pass(t, 0)
	require.True(t, b.x.Overgrown())
	b.pass(t, 0)
	require.False(t, b.x.Overgrown())
	rootA, _ := a.x.Root()
	rootB, _ := b.x.Root()
	require.Equal(t, rootA, rootB)
	b.put("k/02500", []byte("other"))
	partsA, _ := a.x.Cut("", "", fingerprint.CutLevel)
	partsB, _ := b.x.Cut("", "", fingerprint.CutLevel)
	require.Len(t, partsB, len(partsA))
	require.Greater(t, len(partsA), 10)
	differ := 0
	for i := range partsA {
		if partsA[i] != partsB[i] {
			differ++
			require.LessOrEqual(t, "k/02500", partsA[i].UpTo)
			sum, ok := b.x.Between(partsA[i-1].UpTo, partsA[i].UpTo)
			require.True(t, ok)
			require.Equal(t, partsB[i], sum)
		}
	}
	require.Equal(t, 1, differ)
	_, ok := b.x.Between("k/02500", "")
	require.False(t, ok, "no range begins there")
}

// How many keys follow one is known exactly where a range ends, and up to a range elsewhere.
func TestKeysAfterOne(t *testing.T) {
	t.Parallel()
	m := newModel(1)
	for i := range 5000 {
		m.set[fmt.Sprintf("k/%05d", i)] = []byte("v")
	}
	_, ok := m.x.After("")
	require.False(t, ok, "nothing was read yet")
	m.pass(t, 0)
	for i := range 5000 {
		key := fmt.Sprintf("k/%05d", i)
		follow := uint64(5000 - i - 1)
		got, ok := m.x.After(key)
		require.True(t, ok)
		if m.h.Level(key) >= fingerprint.CutLevel {
			require.Equal(t, follow, got, key)
			continue
		}
		after, upTo, _ := m.x.Around(key)
		own, _ := m.x.Between(after, upTo)
		require.GreaterOrEqual(t, got, follow, key)
		require.LessOrEqual(t, got, follow+own.Count, key)
	}
	all, _ := m.x.After("")
	require.Equal(t, uint64(5000), all)
	m.x.Invalidate()
	_, ok = m.x.After("k/00001")
	require.False(t, ok)
}
