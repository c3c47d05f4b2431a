// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	part "github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// limited is storage that takes values up to some size and refuses larger ones as raft does.
type limited struct {
	physical.Backend
	most   atomic.Int64
	writes atomic.Int64
}

type limitedTxn struct {
	*limited
	txn physical.Transactional
}

func (l *limited) check(e *physical.Entry) error {
	if limit := l.most.Load(); int64(len(e.Value)) > limit {
		return fmt.Errorf("%s, max value size for key %s is %d, got %d", physical.ErrValueTooLarge, e.Key, limit,
			len(e.Value))
	}
	return nil
}

func (l *limited) Put(ctx context.Context, e *physical.Entry) error {
	l.writes.Add(1)
	if err := l.check(e); err != nil {
		return err
	}
	return l.Backend.Put(ctx, e)
}

func (l *limitedTxn) Transaction(ctx context.Context, txn []*physical.TxnEntry) error {
	l.writes.Add(1)
	for _, e := range txn {
		if err := l.check(e.Entry); err != nil && e.Operation == physical.PutOperation {
			return err
		}
	}
	return l.txn.Transaction(ctx, txn)
}

// onLimited runs a test with a secondary on limited storage.
func onLimited(t *testing.T, test func(t *testing.T, inner physical.Backend, l *limited)) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		l := &limited{Backend: inner}
		l.most.Store(most)
		if txn, ok := inner.(physical.Transactional); ok {
			test(t, &limitedTxn{l, txn}, l)
		} else {
			test(t, l, l)
		}
	})
}

// most is what limited storage takes; the list of what is missing must fit.
const most = 64 << 10

var large = strings.Repeat("l", most+1)

const largeKey = "logical/uuid/key-00005-SECRET"

func missing(t *testing.T, tap *storage.Tap, mode replication.Mode) (uint64, string) {
	t.Helper()
	n, what, err := tap.Secondary(mode).Missing(testContext(t))
	require.NoError(t, err)
	require.NotContains(t, what, "SECRET", "who may see the status sees no name")
	return n, what
}

// fetch goes through one round of asking for what is missing.
func fetch(t *testing.T, primary, secondary *storage.Tap) (asked int) {
	t.Helper()
	ctx := testContext(t)
	step, err := secondary.Secondary(dr).Diff(ctx, nil)
	require.NoError(t, err)
	for !step.Done {
		asked++
		answer, err := primary.AnswerDiff(ctx, dr, "s", step.Question)
		require.NoError(t, err)
		step, err = secondary.Secondary(dr).Diff(ctx, answer)
		require.NoError(t, err)
	}
	return asked
}

// A key that the storage refuses is set aside. The rest of the frame is applied, and the position moves on. A restart
// does not forget the key.
func TestRefusedKeyStopsNothingElse(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, _ *limited) {
		ctx := testContext(t)
		primary, secondary, _ := pair(t, inner)
		put(t, primary, largeKey, "small")
		to := func() *replication.Cursor {
			return follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		}
		require.True(t, to().Consistent())
		for i := range 20 {
			put(t, primary, key(i), "before")
		}
		put(t, primary, largeKey, large)
		for i := range 20 {
			put(t, primary, key(i), "after")
		}
		want := content(t, primary, dr)
		want[largeKey] = "small" // the value that it had
		c := to()
		require.Equal(t, want, content(t, secondary, dr))
		require.Equal(t, watermark(t, primary), c.Position)
		require.Equal(t, uint64(1), c.Missing)
		require.False(t, c.Consistent())
		require.True(t, c.AtOnePosition())

		secondary = newTap(t, inner)
		n, what := missing(t, secondary, dr)
		require.Equal(t, uint64(1), n)
		require.Equal(t, "1 of shared keys, logical/ (a value of 65537 bytes, and its storage takes 65536, see "+
			"max_entry_size)", what)
		put(t, primary, key(1), "still followed")
		c = to()
		require.Equal(t, uint64(1), c.Missing)
		require.Equal(t, "still followed", get(t, inner, key(1)))

		for name, mend := range map[string]func(){
			"a smaller value": func() { put(t, primary, largeKey, "small again") },
			"deleted":         func() { del(t, primary, largeKey) },
		} {
			mend()
			c = to()
			require.True(t, c.Consistent(), name)
			require.Equal(t, content(t, primary, dr), content(t, secondary, dr), name)
			n, _ = missing(t, secondary, dr)
			require.Zero(t, n)
			require.Equal(t, "<none>", get(t, inner, journal.MissingKey(dr)))
			put(t, primary, largeKey, large)
			require.Equal(t, uint64(1), to().Missing)
		}
		require.NoError(t, secondary.ForgetCursor(ctx, dr))
		require.Equal(t, "<none>", get(t, inner, journal.MissingKey(dr)))
	})
}

// A copy and a comparison end in spite of a refused key, and report it.
func TestRefusedKeyInACopy(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, _ *limited) {
		ctx := testContext(t)
		primary := newPrimary(t, newTxn(t))
		for i := range 100 {
			put(t, primary, key(i), "v")
		}
		put(t, primary, largeKey, large)
		put(t, primary, "logical/uuid/zz-large", large)
		at, err := primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		secondary := newTap(t, inner)
		require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
		want := content(t, primary, dr)
		delete(want, largeKey)
		delete(want, "logical/uuid/zz-large")
		check := func() {
			t.Helper()
			c, err := secondary.Secondary(dr).Cursor(ctx)
			require.NoError(t, err)
			require.Equal(t, uint64(2), c.Missing)
			require.False(t, c.Consistent())
			require.Equal(t, want, content(t, secondary, dr))
			require.NotEqual(t, fingerprintOf(t, primary, dr), fingerprintOf(t, secondary, dr), "nobody says that they are "+
				"equal")
		}
		copyAll(t, primary, secondary, dr, at)
		check()
		require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
		require.False(t, compare(t, primary, secondary, dr, "s", 0).copied)
		check()

		// The fingerprints differ, and that is no reason to compare again.
		secondary = reopen(t, secondary)
		for range 2 * part.DifferencesMax {
			_, err := verifyAt(t, primary, secondary)
			require.NoError(t, err)
		}
		must, err := secondary.Secondary(dr).MustCopy(ctx)
		require.NoError(t, err)
		require.False(t, must)

		// The next comparison finds that the key was deleted meanwhile.
		del(t, primary, largeKey)
		del(t, primary, "logical/uuid/zz-large")
		at, err = primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
		compare(t, primary, secondary, dr, "s", 0)
		c, err := secondary.Secondary(dr).Cursor(ctx)
		require.NoError(t, err)
		require.True(t, c.Consistent())
	})
}

// When the storage takes larger values, the missing value is fetched, even if nothing is written on the primary.
func TestRefusedKeyIsFetchedAgain(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, l *limited) {
		primary, secondary, _ := pair(t, inner)
		require.NoError(t, secondary.StartFingerprint(testContext(t), dr, indexKey))
		for i := range 100 {
			put(t, primary, fmt.Sprintf("logical/uuid/large-%02d", i), large)
			put(t, primary, fmt.Sprintf("logical/uuid/large-%02d-beside", i), "v")
		}
		follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		n, _ := missing(t, secondary, dr)
		require.Equal(t, uint64(100), n)
		require.Positive(t, fetch(t, primary, secondary))
		n, _ = missing(t, secondary, dr)
		require.Equal(t, uint64(100), n, "they are refused again")
		require.Zero(t, fetch(t, primary, secondary), "and left alone for a while")

		del(t, primary, "logical/uuid/large-07")
		l.most.Store(2 * most)
		secondary = reopen(t, secondary)
		require.Equal(t, 4, fetch(t, primary, secondary), "a restart tries at once, by parts")
		n, _ = missing(t, secondary, dr)
		require.Zero(t, n, "what the primary has no more is not missing")
		follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		c, err := secondary.Secondary(dr).Cursor(testContext(t))
		require.NoError(t, err)
		require.True(t, c.Consistent())
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
		require.Zero(t, fetch(t, primary, secondary))
	})
}

// Fetched values belong to positions that were reported as applied. Until the core has taken them up, the positions are
// not reported as applied.
func TestPositionsWaitForWhatIsFetched(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, l *limited) {
		ctx := testContext(t)
		primary, secondary, _ := pair(t, inner)
		require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
		put(t, primary, "logical/uuid/large", large)
		c := follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		require.Equal(t, c.Position, secondary.Secondary(dr).Applied(ctx))

		l.most.Store(2 * most)
		secondary = reopen(t, secondary)
		require.Equal(t, c.Position, secondary.Secondary(dr).Applied(ctx))
		var busy atomic.Bool
		busy.Store(true)
		secondary.OnApplied(func(_ context.Context, keys []string) []string {
			if busy.Load() {
				return keys
			}
			return nil
		})
		require.Equal(t, 1, fetch(t, primary, secondary))
		require.NotEqual(t, c.Position, secondary.Secondary(dr).Applied(ctx), "the core does not have it yet")
		busy.Store(false)
		require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, c.Position))
		require.Equal(t, c.Position, secondary.Secondary(dr).Applied(ctx))
	})
}

// An answer about missing keys is true for one moment. A row that was applied after the question is newer, whether the
// storage took its value, deleted the key or refused it again.
func TestFetchedValuesReplaceNothingNewer(t *testing.T) {
	const huge = 3 * most
	for name, c := range map[string]struct {
		before, after func(t *testing.T, primary *storage.Tap)
		missing       uint64
	}{
		"a value that is taken": {
			after: func(t *testing.T, primary *storage.Tap) { put(t, primary, largeKey, "newer") },
		},
		"a deletion": {
			after: func(t *testing.T, primary *storage.Tap) { del(t, primary, largeKey) },
		},
		"a value that is refused": {
			after: func(t *testing.T, primary *storage.Tap) {
				put(t, primary, largeKey, strings.Repeat("h", huge))
			},
			missing: 1,
		},
		"a value that is refused, of a key that was away": {
			before: func(t *testing.T, primary *storage.Tap) { del(t, primary, largeKey) },
			after: func(t *testing.T, primary *storage.Tap) {
				put(t, primary, largeKey, strings.Repeat("h", huge))
			},
			missing: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			onLimited(t, func(t *testing.T, inner physical.Backend, l *limited) {
				ctx := testContext(t)
				primary, secondary, _ := pair(t, inner)
				put(t, primary, largeKey, large)
				follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
				l.most.Store(2 * most)
				secondary = reopen(t, secondary)
				step, err := secondary.Secondary(dr).Diff(ctx, nil)
				require.NoError(t, err)
				require.False(t, step.Done)
				if c.before != nil {
					c.before(t, primary)
				}
				answer, err := primary.AnswerDiff(ctx, dr, "s", step.Question)
				require.NoError(t, err)
				c.after(t, primary)
				follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)

				_, err = secondary.Secondary(dr).Diff(ctx, answer)
				require.NoError(t, err)
				n, _ := missing(t, secondary, dr)
				require.Equal(t, c.missing, n)
				want := content(t, primary, dr)
				if n > 0 {
					delete(want, largeKey)
				}
				require.Equal(t, want, content(t, secondary, dr))
			})
		})
	}
}

// The list has bounds. Further keys are only counted, and a comparison finds them.
func TestManyRefusedKeysAreCounted(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, l *limited) {
		ctx := testContext(t)
		primary, secondary, _ := pair(t, inner)
		const many = unstorable.KeysMax + 44
		for i := range many {
			put(t, primary, fmt.Sprintf("logical/uuid/large-%04d", i), large)
		}
		c := follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		require.Equal(t, uint64(many), c.Missing)
		_, what := missing(t, secondary, dr)
		require.Contains(t, what, "about 44 more")
		b, err := inner.Get(ctx, journal.MissingKey(dr))
		require.NoError(t, err)
		require.Less(t, len(b.Value), 64<<10)

		l.most.Store(2 * most)
		secondary = reopen(t, secondary)
		_, err = secondary.Secondary(dr).Diff(ctx, nil)
		require.Equal(t, replication.PositionLost, replication.KindOf(err), err)
		at, err := primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		copyAll(t, primary, secondary, dr, at)
		c, err = secondary.Secondary(dr).Cursor(ctx)
		require.NoError(t, err)
		require.True(t, c.Consistent())
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
	})
}

// A comparison that finds more keys than the list can hold is not begun again at once.
func TestCountedKeysAreNoLoop(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, _ *limited) {
		ctx := testContext(t)
		primary, secondary, _ := pair(t, inner)
		require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
		for i := range unstorable.KeysMax + 1 {
			put(t, primary, fmt.Sprintf("logical/uuid/large-%04d", i), large)
		}
		at := watermark(t, primary)
		lost := 0
		for range 5 {
			copyAll(t, primary, secondary, dr, at)
			if _, err := secondary.Secondary(dr).Diff(ctx, nil); replication.KindOf(err) == replication.PositionLost {
				lost++
			}
		}
		require.LessOrEqual(t, lost, 1)
	})
}

// Later rows depend on some keys: nothing goes past them, and the error says why.
func TestRefusedTableStopsWhatDependsOnIt(t *testing.T) {
	onLimited(t, func(t *testing.T, inner physical.Backend, l *limited) {
		ctx := testContext(t)
		primary, secondary, at := pair(t, inner,
			func(o *storage.Options) { o.Alone = func(key string) bool { return key == "core/mounts" } })
		put(t, primary, key(1), "before")
		put(t, primary, "core/mounts", large)
		put(t, primary, key(2), "after")
		r, err := primary.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err)
		defer r.Close()
		f, err := r.Next()
		require.NoError(t, err)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
		require.Equal(t, replication.StorageFailed, replication.KindOf(err))
		require.ErrorContains(t, err, "refuses core/mounts, on which what comes later depends")
		require.ErrorContains(t, err, "a value of 65537 bytes, and its storage takes 65536, see "+
			"max_mount_and_namespace_table_entry_size")
		require.Equal(t, map[string]string{key(1): "before"}, content(t, secondary, dr))
		l.most.Store(2 * most)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
		require.NoError(t, err)
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
	})
}

// A failure that may pass by itself sets no key aside: it is an error.
func TestPassingFailureSetsNothingAside(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	for _, failure := range []error{syscall.ENOSPC, errStorage, context.DeadlineExceeded, syscall.EIO,
		syscall.ECONNRESET} {
		f := newFaulty(t)
		primary, secondary, at := pair(t, f)
		put(t, primary, key(1), "v")
		r, err := primary.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err)
		defer r.Close()
		frame, err := r.Next()
		require.NoError(t, err)
		f.set(func(keys []string) (bool, error) {
			if slices.Contains(keys, key(1)) {
				return false, failure
			}
			return false, nil
		}, nil)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
		require.ErrorIs(t, err, failure)
		c, err := secondary.Secondary(dr).Cursor(ctx)
		require.NoError(t, err)
		require.Equal(t, at, c.Position)
		require.Zero(t, c.Missing)
	}
}

// The storage refuses a deletion in a transaction with a row of this cluster's own journal. The key still counts as
// deleted.
func TestRefusedDeletion(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	primary, secondary, _ := pair(t, f)
	require.NoError(t, secondary.Activate(ctx, config(dr)))
	_, err := secondary.OpenSlot(ctx, dr, "further")
	require.NoError(t, err)
	never := "logical/uuid/never"
	f.set(func(keys []string) (bool, error) {
		if slices.Contains(keys, never) {
			return false, &fs.PathError{Op: "open", Path: "x", Err: syscall.ENAMETOOLONG}
		}
		return false, nil
	}, nil)
	put(t, primary, never, "v")
	put(t, primary, key(1), "v")
	c := follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
	require.Equal(t, uint64(1), c.Missing)
	del(t, primary, never)
	put(t, primary, key(2), "v")
	require.True(t, follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence).Consistent())
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}

// Names that a file system does not have: they are set aside, and their deletion is a
// success.
func TestLongNamesOnFileStorage(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newTxn(t))
	secondary := newTap(t, newFile(t))
	require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
	names := []string{
		"logical/uuid/" + strings.Repeat("SECRET", 50), "logical/uuid/" + strings.Repeat("SECRET", 50) + "/below",
		"logical/uuid/" + strings.Repeat("n", 250), "logical/uuid/nul\x00", "logical/uuid/a..b",
	}
	write := func() {
		for _, n := range names {
			put(t, primary, n, "v")
		}
		for i := range 50 {
			put(t, primary, key(i), "beside them")
		}
	}
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	write()
	last := func() *replication.Cursor {
		return follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
	}
	require.Equal(t, uint64(len(names)), last().Missing)
	require.Equal(t, "beside them", get(t, secondary.Inner(), key(1)))
	_, what := missing(t, secondary, dr)
	require.Contains(t, what, "the file system's limit of names")
	require.Positive(t, fetch(t, primary, secondary))
	for _, n := range names {
		del(t, primary, n)
	}
	require.True(t, last().Consistent())

	write()
	at, err = primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	require.Equal(t, uint64(len(names)), copyAll(t, primary, secondary, dr, at).Missing)
	require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
	require.False(t, compare(t, primary, secondary, dr, "s", 0).copied)
	for _, n := range names {
		del(t, primary, n)
	}
	require.True(t, last().Consistent())
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}

// A client's write that the primary's own storage can never take is refused and settled at once. Later writes are sent.
func TestRefusedWriteHoldsNothingUp(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newFile(t))
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	long := "logical/uuid/" + strings.Repeat("n", 300)
	require.ErrorContains(t, primary.Backend().Put(ctx, &physical.Entry{Key: long, Value: []byte("v")}),
		"file name too long")
	require.ErrorContains(t, primary.Backend().Put(ctx, &physical.Entry{Key: long + "/below", Value: []byte("v")}),
		"file name too long")
	require.NoError(t, primary.Backend().Delete(ctx, long), "what cannot be there is gone")
	put(t, primary, key(1), "after it")
	last, err := primary.LastWritten(dr)
	require.NoError(t, err)
	require.Equal(t, last.Sequence, watermark(t, primary).Sequence, "nothing is waited for")
	secondary := newTap(t, newTxn(t))
	copyAll(t, primary, secondary, dr, at)
	follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}
