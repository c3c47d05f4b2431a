// SPDX-License-Identifier: MPL-2.0

package fingerprint_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// newStoredShelf is a shelf all of whose blocks are stored.
func newStoredShelf(t *testing.T, perBlock int) *shelf {
	s := newShelf(t, 1)
	s.x.SetPerBlock(perBlock)
	s.changes(6000, nil)
	s.pass(t, 0)
	s.storeAll()
	return s
}

// storeAll stores each block that is not stored, one after the other.
func (s *shelf) storeAll() {
	if s.x.Home() == "" {
		s.store(true)
	}
	for {
		batch := s.x.Store(time.Now(), 1)
		if batch == nil {
			break
		}
		s.put(batch)
		batch.End(true)
	}
	require.Equal(s.t, s.x.Blocks(), s.x.Clean())
	s.requireRight()
}

// put does what the storage does when blocks are stored.
func (s *shelf) put(batch *fingerprint.Storing) {
	for i := range batch.Blocks {
		for _, row := range batch.Blocks[i].Drop {
			delete(s.rows, row)
		}
	}
	for i := range batch.Blocks {
		b := &batch.Blocks[i]
		s.rows[b.Row] = s.h.Encode(&b.Stored)
	}
}

// writeKey writes a key and deletes the rows that it must. told says whether the index learns of these deletions. A nil
// value deletes the key.
func (s *shelf) writeKey(key string, value []byte, told bool) {
	s.t.Helper()
	rows, storing := s.x.Writing(key)
	require.Nil(s.t, storing)
	for _, row := range rows {
		delete(s.rows, row)
	}
	s.model.put(key, value)
	if told {
		s.x.Deleted(key, rows)
	}
	s.x.Written(key)
}

// inside is a key of a block at which no range ends.
func (s *shelf) inside(b *fingerprint.Stored) string {
	s.t.Helper()
	for _, key := range slices.Sorted(maps.Keys(s.set)) {
		if key > b.After && s.h.Level(key) < fingerprint.CutLevel {
			return key
		}
	}
	s.t.Fatal("there is none")
	return ""
}

// requireRows checks which rows a write of a key has to delete.
func (s *shelf) requireRows(key string, want ...string) {
	s.t.Helper()
	rows, storing := s.x.Rows(key)
	require.Nil(s.t, storing)
	require.ElementsMatch(s.t, want, rows)
}

// requireTaken restarts and checks that nothing has to be read.
func (s *shelf) requireTaken() {
	s.t.Helper()
	s.storeAll()
	blocks, before := s.x.Blocks(), s.taken
	s.restart(0)
	require.Equal(s.t, blocks, s.taken-before, "all is stored, and nothing else")
}

// A block that is merged into the next one brings its rows along: a write of a key of either block deletes the rows of
// both.
func TestMergedBlockHasTheRowsOfBoth(t *testing.T) {
	t.Parallel()
	s := newStoredShelf(t, 2)
	blocks := s.stored()
	a, b := blocks[1], blocks[2]
	s.writeKey(a.UpTo(), nil, false)
	require.Equal(t, len(blocks)-1, s.x.Blocks())
	require.Equal(t, len(blocks)-2, s.x.Clean(), "it has grown since it was stored")
	s.requireRows(s.inside(a), a.Row, b.Row)
	s.requireRows(s.inside(b), a.Row, b.Row)
	s.requireRight()
	s.requireTaken()
}

// The same while the next block is being stored: the block that was stored is not the merged one.
func TestBlockIsMergedIntoOneThatIsStored(t *testing.T) {
	t.Parallel()
	s := newStoredShelf(t, 2)
	blocks := s.stored()
	a, b := blocks[1], blocks[2]
	s.writeKey(s.inside(b), []byte("changed"), true)
	batch := s.x.Store(time.Now(), 100)
	require.Len(t, batch.Blocks, 1)
	require.Equal(t, b.Row, batch.Blocks[0].Row)
	s.writeKey(a.UpTo(), nil, false)
	s.put(batch)
	batch.End(true)
	require.Equal(t, s.x.Blocks()-1, s.x.Clean())
	s.requireRows(s.inside(a), a.Row, b.Row)
	s.requireRows(s.inside(b), a.Row, b.Row)
	s.requireRight()
	s.requireTaken()
}

// A pass can find that the bounding key of a block is gone while the block is being stored. Writers still wait and then
// delete the stored row.
func TestBlockIsMergedWhileItIsStored(t *testing.T) {
	t.Parallel()
	s := newStoredShelf(t, 2)
	blocks := s.stored()
	a, b := blocks[1], blocks[2]
	key := s.inside(a)
	s.writeKey(key, []byte("changed"), true)
	batch := s.x.Store(time.Now(), 100)
	require.Equal(t, a.Row, batch.Blocks[0].Row)
	delete(s.set, a.UpTo()) // nobody has told
	require.True(t, s.pass(t, 0))
	require.Equal(t, len(blocks)-1, s.x.Blocks())

	for _, key := range []string{key, s.inside(b)} {
		rows, storing := s.x.Rows(key)
		require.Nil(t, rows)
		require.NotNil(t, storing)
	}
	s.put(batch)
	batch.End(true)
	require.Equal(t, s.x.Blocks()-1, s.x.Clean())
	s.requireRows(s.inside(b), a.Row, b.Row)
	s.writeKey(key, []byte("again"), true)
	s.requireRight()
	s.requireTaken()
}

// If a pass corrects a block while it is being stored, the block has to be stored again: its row has the old sums.
func TestBlockIsCorrectedWhileItIsStored(t *testing.T) {
	t.Parallel()
	s := newStoredShelf(t, 2)
	a := s.stored()[1]
	key := s.inside(a)
	s.writeKey(key, []byte("changed"), true)
	batch := s.x.Store(time.Now(), 100)
	require.Equal(t, a.Row, batch.Blocks[0].Row)
	s.set[key] = []byte("changed below")
	require.True(t, s.pass(t, 0))
	s.put(batch)
	batch.End(true)
	require.Equal(t, s.x.Blocks()-1, s.x.Clean(), "what was stored is not what there is")
	s.requireRows(key, a.Row)
	s.requireTaken()
}

// When a block was cut, a write to any part deletes the row of the whole block.
func TestBlockThatIsCutKeepsItsRow(t *testing.T) {
	t.Parallel()
	s := newStoredShelf(t, 1000)
	blocks := s.stored()
	require.Len(t, blocks, 1)
	whole := blocks[0]
	bounds := slices.Clone(whole.Ranges)
	require.Greater(t, len(bounds), 8)
	// A write that fails is one after which the row may be there.
	began := time.Now()
	s.x.Writing(s.inside(whole))
	s.x.Written(s.inside(whole))
	s.x.SetPerBlock(2)
	require.Nil(t, s.x.Store(began.Add(-time.Minute), 100), "it is not at rest")
	require.Greater(t, s.x.Blocks(), 3)
	for i := range bounds {
		s.requireRows(bounds[i].UpTo+"x", whole.Row)
	}
	s.writeKey(bounds[3].UpTo+"x", []byte("made"), true)
	s.requireRight()
	s.requireTaken()
}

// A block that was stored when blocks were larger is cut, and each part is stored.
func TestBlockThatIsStoredIsCut(t *testing.T) {
	t.Parallel()
	s := newStoredShelf(t, 1000)
	s.x.SetPerBlock(2)
	batch := s.x.Store(time.Now(), 1)
	require.NotNil(t, batch)
	s.put(batch)
	batch.End(true)
	s.requireRight()
	require.Greater(t, s.x.Blocks(), 3)
	require.Equal(t, 1, s.x.Clean())
	s.requireTaken()
}

// A pass that finds something else where a key has come at which the index is to be cut,
// and the one at which it was is gone without a word: the part cannot be compared by
// itself, and its row goes all the same.
func TestWrongPartBetweenOtherCutsIsNotKept(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 1)
	s.changes(4000, nil)
	s.restart(0)
	storeAll := func() {
		for {
			s.store(true)
			if stored, all := s.x.StoredBlocks(); stored == all {
				return
			}
		}
	}
	cuts := 0
	for _, cut := range slices.Sorted(maps.Keys(s.set)) {
		if s.h.Level(cut) < fingerprint.CutLevel {
			continue
		}
		cuts++
		before := cut[:len(cut)-1] + string(rune(cut[len(cut)-1]-1))
		fresh := ""
		for n := 0; s.h.Level(fresh) < fingerprint.CutLevel || fresh == ""; n++ {
			fresh = fmt.Sprintf("%s~%d", before, n)
		}
		_, _ = s.x.Writing(fresh)
		s.set[fresh] = []byte("new")
		s.x.Replace(fresh, nil, s.set[fresh], 0)
		s.x.Written(fresh)
		storeAll()
		delete(s.set, cut)
		s.pass(t, 0)
		storeAll()
		s.requireRight()
	}
	require.Greater(t, cuts, 5)
}
