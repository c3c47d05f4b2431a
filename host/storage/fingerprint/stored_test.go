// SPDX-License-Identifier: MPL-2.0

package fingerprint_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// shelf is a model whose index is stored, in rows that are kept over crashes.
type shelf struct {
	*model
	t     *testing.T
	rows  map[string][]byte
	homes int
	taken int // blocks that were not read
}

func newShelf(t *testing.T, seed uint64) *shelf {
	s := &shelf{model: newModel(seed), t: t, rows: map[string][]byte{}}
	s.x.SetPerBlock(2)
	return s
}

func (s *shelf) home() string { return fmt.Sprintf("pages/%d/", s.homes) }

// write is a write of the core. It may fail before it has deleted any rows, after it has deleted them, or not at all.
func (s *shelf) write() {
	key := fmt.Sprintf("k/%05d", s.rnd.IntN(9000))
	rows, storing := s.x.Writing(key)
	require.Nil(s.t, storing)
	defer s.x.Written(key)
	fate := s.rnd.IntN(12)
	if fate > 0 {
		for _, row := range rows {
			delete(s.rows, row)
		}
		if fate > 2 {
			s.x.Deleted(key, rows)
		}
	}
	if fate < 2 {
		return
	}
	before := s.set[key]
	var after []byte
	if before == nil || s.rnd.IntN(2) == 0 {
		after = fmt.Appendf(nil, "%d", s.rnd.Uint32())
		s.set[key] = after
	} else {
		delete(s.set, key)
	}
	s.x.Replace(key, before, after, 0)
}

func (s *shelf) writes(n int) {
	for range n {
		s.write()
	}
}

// store stores some blocks. If it is cut off, it is unknown how far it came.
func (s *shelf) store(whole bool) {
	if s.x.Home() == "" {
		for _, head := range s.x.Heads() {
			delete(s.rows, head)
			s.x.Headless(head)
		}
		s.homes++
		head := fingerprint.HeadOf(s.home())
		s.rows[head] = s.h.EncodeHead(head, [16]byte{1}, [16]byte{2})
		require.True(s.t, s.x.SetHome(s.home(), s.x.Lost()))
	}
	batch := s.x.Store(time.Now(), 1+s.rnd.IntN(4))
	if batch == nil {
		return
	}
	var steps []func()
	for i := range batch.Blocks {
		for _, row := range batch.Blocks[i].Drop {
			steps = append(steps, func() { delete(s.rows, row) })
		}
	}
	for i := range batch.Blocks {
		b := &batch.Blocks[i]
		steps = append(steps, func() { s.rows[b.Row] = s.h.Encode(&b.Stored) })
	}
	to := len(steps)
	if !whole && s.rnd.IntN(3) == 0 {
		to = s.rnd.IntN(to + 1)
	}
	for _, step := range steps[:to] {
		step()
	}
	batch.End(to == len(steps) && (whole || s.rnd.IntN(4) > 0))
}

func (s *shelf) stored() (blocks []*fingerprint.Stored) {
	head := fingerprint.HeadOf(s.home())
	if s.rows[head] == nil {
		return nil
	}
	_, err := s.h.DecodeHead(head, s.rows[head])
	require.NoError(s.t, err)
	for row, b := range s.rows {
		if strings.HasPrefix(row, s.home()) && row != head {
			block, err := s.h.Decode(row, b)
			require.NoError(s.t, err)
			blocks = append(blocks, block)
		}
	}
	slices.SortFunc(blocks, func(a, b *fingerprint.Stored) int { return strings.Compare(a.After, b.After) })
	return blocks
}

// requireRight checks what everything rests on: each stored row is right.
func (s *shelf) requireRight() {
	s.t.Helper()
	keys := slices.Sorted(maps.Keys(s.set))
	last := ""
	for i, b := range s.stored() {
		require.True(s.t, i == 0 || last != "" && last <= b.After, "rows overlap")
		last = b.UpTo()
		at, found := slices.BinarySearch(keys, b.After)
		if found {
			at++
		}
		for j := range b.Ranges {
			var sum fingerprint.Range
			for ; at < len(keys) && (b.Ranges[j].UpTo == "" || keys[at] <= b.Ranges[j].UpTo); at++ {
				sum.Sum.Add(s.h.Element(keys[at], s.set[keys[at]]))
				sum.Count++
			}
			require.Equal(s.t, sum.Count, b.Ranges[j].Count, "up to %q", b.Ranges[j].UpTo)
			require.Equal(s.t, sum.Sum, b.Ranges[j].Sum)
		}
	}
}

// restart takes up the stored rows while writes run.
func (s *shelf) restart(busy int) {
	s.t.Helper()
	s.x = fingerprint.NewIndex(s.h)
	s.x.SetPerBlock(2)
	s.x.Hold()
	blocks, home := s.stored(), s.home()
	if s.rows[fingerprint.HeadOf(home)] == nil {
		home = ""
	}
	s.x.Release(home, blocks)
	s.writes(s.rnd.IntN(busy + 1))
	p := s.x.Begin()
	read := func(keys []string) {
		for {
			created, ok := p.Advance(keys[len(keys)-1])
			require.True(s.t, ok)
			if len(created) == 0 {
				break
			}
			keys = append(keys, created...)
			slices.Sort(keys)
			keys = slices.Compact(keys)
		}
		values := make([][]byte, len(keys))
		for i, key := range keys {
			values[i] = s.set[key]
		}
		p.Add(keys, values)
		s.writes(s.rnd.IntN(busy + 1))
	}
	gap := func(after, upTo string) {
		var keys []string
		for key := range s.set {
			if key > after && (upTo == "" || key <= upTo) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		s.writes(s.rnd.IntN(busy + 1))
		for group := range slices.Chunk(keys, 64) {
			read(slices.Clone(group))
		}
	}
	after := ""
	for _, b := range blocks {
		if b.After != after {
			gap(after, b.After)
		}
		created, taken, ok := p.Take(b)
		for ; ok && len(created) > 0; created, taken, ok = p.Take(b) {
			read(created)
		}
		require.True(s.t, ok)
		if taken {
			s.taken++
		} else {
			gap(b.After, b.UpTo())
		}
		after = b.UpTo()
	}
	if after != "" || len(blocks) == 0 {
		gap(after, "")
	}
	for done := false; !done; {
		var ok bool
		done, _, ok = p.Finish()
		require.True(s.t, ok)
		for key, ok := p.NextCreated(); ok; key, ok = p.NextCreated() {
			read([]string{key})
		}
	}
	root, _ := s.x.Root()
	require.Equal(s.t, scannedRoot(s.h, s.set), root)
}

func scannedRoot(h *fingerprint.Hasher, set map[string][]byte) []byte {
	var sum fingerprint.Sum
	for k, v := range set {
		sum.Add(h.Element(k, v))
	}
	return h.Root(sum, uint64(len(set)))
}

// Keys are written, blocks stored, cut off and read again. Each stored row is right, and an index made from the rows is
// the index of the content.
func TestStoredRowsAreRight(t *testing.T) {
	t.Parallel()
	taken := make(chan int, 6)
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(6) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				s := newShelf(t, seed)
				s.changes(6000, nil)
				s.restart(0)
				for range 12 {
					for range 12 {
						s.store(s.rnd.IntN(2) == 0)
						s.writes(s.rnd.IntN(4))
						s.requireRight()
					}
					switch s.rnd.IntN(4) {
					case 0:
						s.x.Invalidate()
						s.requireRight()
						s.writes(s.rnd.IntN(3))
						s.requireRight()
					case 1:
						s.pass(t, 0)
						s.store(true)
					case 2:
						// Keys vanish untold, cuts among them; then all is stored anew.
						for key := range s.set {
							if s.rnd.IntN(20) == 0 {
								delete(s.set, key)
							}
						}
						s.pass(t, 0)
						for range 40 {
							s.store(true)
						}
					}
					s.requireRight()
					s.restart(s.rnd.IntN(3))
					s.requireRight()
				}
				taken <- s.taken
			})
		}
	})
	close(taken)
	sum := 0
	for n := range taken {
		sum += n
	}
	require.Greater(t, sum, 100, "blocks that were not read again")
}

// A whole index is stored and taken up, cut as it was.
func TestStoredIndexIsTakenUp(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 1)
	s.changes(9000, nil)
	s.restart(0)
	for s.x.Clean() < s.x.Blocks() || s.x.Clean() == 0 {
		s.store(true)
	}
	require.Greater(t, s.x.Blocks(), 5)
	blocks := s.x.Blocks()
	s.restart(0)
	require.Equal(t, blocks, s.taken)
	s.check(t)
	require.Equal(t, blocks, s.x.Clean(), "nothing is stored again")

	// A difference in the storage is found, and the stored row of its block goes.
	key := slices.Sorted(maps.Keys(s.set))[1000]
	s.set[key] = []byte("changed below")
	require.True(t, s.pass(t, 0))
	s.check(t)
	require.Equal(t, blocks-1, s.x.Clean())
	s.store(true)
	s.requireRight()
	require.Equal(t, blocks, s.x.Clean())
}

// A writer waits while the row of its key is stored, and then has it deleted.
func TestWriterWaitsForStoring(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 1)
	s.changes(1000, nil)
	s.restart(0)
	require.True(t, s.x.SetHome(s.home(), s.x.Lost()))
	s.x.Writing("k/00001")
	for range 10 {
		if batch := s.x.Store(time.Now(), 100); batch != nil {
			batch.End(true)
		}
	}
	busy := s.x.Blocks() - s.x.Clean()
	require.Equal(t, 1, busy, "the block of a key that is being written is not stored")
	s.x.Written("k/00001")
	batch := s.x.Store(time.Now(), 100)
	require.Len(t, batch.Blocks, 1)
	rows, storing := s.x.Writing("k/00002")
	require.Nil(t, rows)
	require.NotNil(t, storing)
	batch.End(true)
	<-storing
	rows, storing = s.x.Rows("k/00002")
	require.Nil(t, storing)
	require.Equal(t, []string{batch.Blocks[0].Row}, rows)
}

// FuzzDecode: what Decode accepts, Encode makes; nothing else does any harm.
func FuzzDecode(f *testing.F) {
	h := fingerprint.NewHasher(fingerprint.Key{7})
	good := &fingerprint.Stored{Row: "r", After: "a", Ranges: []fingerprint.Range{{UpTo: "ab", Count: 3}, {Count: 1}}}
	f.Add(h.Encode(good))
	f.Add([]byte{})
	f.Add([]byte{1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := h.Decode("r", b); err == nil {
			require.Equal(t, h.Encode(good), b, "nobody else can make one")
		}
		// Past the code, so that the rest is looked at too.
		sealed := h.Seal("r", append([]byte{}, b...))
		s, err := h.Decode("r", sealed)
		if err != nil {
			return
		}
		again, err := h.Decode("r", h.Encode(s))
		require.NoError(t, err)
		require.Equal(t, s, again)
		_, _ = h.DecodeHead("r", sealed)
	})
}
