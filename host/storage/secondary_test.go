// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A copy makes the replicated content equal to the primary's and leaves the secondary's own keys alone.
func TestCopy(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		primary := newPrimary(t, inner)
		secondary := newTap(t, newTxn(t))
		for i := range 300 {
			put(t, primary, fmt.Sprintf("logical/u/%d", i), strings.Repeat("x", i*100))
			put(t, primary, fmt.Sprintf("logical/u-%d/dir/%d", i%7, i), "v")
		}
		put(t, primary, "core/cluster/feature-flags", "shared, in a directory of own keys")
		put(t, primary, "core/cluster/local/info", "primary's")
		put(t, primary, "core/hsm/iv", "primary's")
		put(t, secondary, "core/hsm/iv", "secondary's")
		put(t, secondary, "logical/a", "not on the primary")
		put(t, secondary, "sys/zzz/last", "not on the primary")
		put(t, secondary, "logical/u/7", "differs")
		at, err := primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		c := copyAll(t, primary, secondary, dr, at)
		require.Equal(t, at, c.Position)
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
		require.Equal(t, "secondary's", get(t, secondary.Inner(), "core/hsm/iv"))
		require.Equal(t, "shared, in a directory of own keys", get(t, secondary.Inner(), "core/cluster/feature-flags"))
		require.Equal(t, "<none>", get(t, secondary.Inner(), "core/cluster/local/info"))
		require.True(t, c.Consistent())
	})
}

// Ranges are in order of the whole keys, complete, and cut.
func TestRangesAreOrderedAndComplete(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, &reversedList{newInmem(t)})
	want := map[string]bool{}
	for _, k := range []string{"logical/a", "logical/a/b", "logical/a-b", "logical/a0", "logical/a/b/c", "logical/ab",
		"zz", "core/sscGenCounter/", "logical/é/x"} {
		put(t, primary, k, strings.Repeat("v", 1600<<10))
		want[k] = true
	}
	last, ranges := "", 0
	for {
		rng, err := primary.ReadRange(ctx, dr, "", last)
		require.NoError(t, err)
		ranges++
		pairs, err := journal.DecodeRange(rng.Payload)
		require.NoError(t, err)
		require.LessOrEqual(t, len(rng.Payload), 4*replication.PayloadTarget+1024)
		for _, p := range pairs {
			require.Greater(t, p.Key, last)
			last = p.Key
			require.True(t, want[p.Key], p.Key)
			delete(want, p.Key)
		}
		if rng.Last {
			break
		}
		require.Equal(t, last, rng.UpTo)
	}
	require.Empty(t, want)
	require.Greater(t, ranges, 3)
}

// reversedList lists in reverse: no walk may rely on the order.
type reversedList struct{ physical.Backend }

func (r *reversedList) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := r.Backend.List(ctx, prefix)
	slices.Reverse(names)
	return names, err
}

type countingList struct {
	physical.Backend
	mu    sync.Mutex
	lists map[string]int
}

func (c *countingList) List(ctx context.Context, prefix string) ([]string, error) {
	c.mu.Lock()
	c.lists[prefix]++
	c.mu.Unlock()
	return c.Backend.List(ctx, prefix)
}

// A large directory is listed once, not for each range.
func TestDirectoryIsListedOnce(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := &countingList{Backend: newInmem(t), lists: map[string]int{}}
	for i := range 5000 {
		require.NoError(t, inner.Put(ctx, &physical.Entry{Key: key(i), Value: make([]byte, 5000)}))
	}
	primary := newTap(t, inner, func(o *storage.Options) { o.LateEvery = time.Hour })
	require.NoError(t, primary.Activate(ctx, config(dr)))
	checked(t, primary)
	require.Eventually(t, func() bool {
		inner.mu.Lock()
		defer inner.mu.Unlock()
		return inner.lists[journal.RowPrefix] > 0
	}, waitMax, tick, "rows of deposed leaders are looked for once")
	inner.mu.Lock()
	clear(inner.lists)
	inner.mu.Unlock()
	n, after := 0, ""
	for {
		rng, err := primary.ReadRange(ctx, dr, "", after)
		require.NoError(t, err)
		n++
		if rng.Last {
			break
		}
		after = rng.UpTo
	}
	require.Greater(t, n, 4)
	require.Equal(t, 1, inner.lists["logical/uuid/"])
	require.Zero(t, inner.lists["wal/logs/"])
	// Going back is a new walk.
	_, err := primary.ReadRange(ctx, dr, "", key(100))
	require.NoError(t, err)
	require.Equal(t, 2, inner.lists["logical/uuid/"])
}

// Copy and stream run beside random writes, with small transactions. The secondary ends equal, and at every consistent
// point it has a state that the primary had.
func TestFollowIsExact(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		primary := newPrimary(t, inner)
		secondary := newTap(t, newTxn(t), func(o *storage.Options) {
			o.Limits = func() (int, int) { return 12, 20 << 10 }
		})
		for i := range 200 {
			put(t, primary, key(i), "first")
		}
		at, err := primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				rnd := rand.New(rand.NewSource(int64(w)))
				b := primary.Backend()
				for n := range 400 {
					k := key(rnd.Intn(300))
					var err error
					switch rnd.Intn(4) {
					case 0:
						err = b.Delete(ctx, k)
					case 1:
						if txn, ok := b.(physical.Transactional); ok {
							err = txn.Transaction(ctx, []*physical.TxnEntry{
								{Operation: physical.PutOperation, Entry: &physical.Entry{Key: k, Value: []byte("t")}},
								{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: key(rnd.Intn(300))}},
								{Operation: physical.PutOperation, Entry: &physical.Entry{Key: fmt.Sprintf("sys/new/%d", n),
									Value: []byte("t")}},
							})
							break
						}
						fallthrough
					default:
						err = b.Put(ctx, &physical.Entry{Key: k, Value: []byte(fmt.Sprintf("%d-%d", w, n))})
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		copyAll(t, primary, secondary, dr, at)
		require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
		wg.Wait()
		c := follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		require.True(t, c.Consistent())
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
		require.Equal(t, fingerprintOf(t, primary, dr), fingerprintOf(t, secondary, dr))
	})
}

func TestApplyFrameRules(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		primary := newPrimary(t, newTxn(t))
		at, err := primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		secondary := newTap(t, inner)
		r, err := primary.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err)
		next := func(k, v string) *replication.Frame {
			put(t, primary, k, v)
			f, err := r.Next()
			require.NoError(t, err)
			return f
		}
		f1 := next("core/mounts", "1")
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f1)
		require.Equal(t, replication.PositionLost, replication.KindOf(err), "there was no copy")
		require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f1)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), "the copy is under way")
		_, err = secondary.Secondary(dr).EndCopy(ctx)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err))
		_, err = secondary.Secondary(dr).ApplyRange(ctx, &replication.Range{Last: true, Payload: journal.EncodeRange(nil)})
		require.NoError(t, err)
		_, err = secondary.Secondary(dr).EndCopy(ctx)
		require.NoError(t, err)

		f2 := next("core/mounts", "2")
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f2)
		require.Equal(t, replication.PositionLost, replication.KindOf(err), "rows are missing")
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f1)
		require.NoError(t, err)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f2)
		require.NoError(t, err)
		c, err := secondary.Secondary(dr).ApplyFrame(ctx, f1)
		require.NoError(t, err, "a frame of the past changes nothing")
		require.Equal(t, f2.To, c.Position)
		require.Equal(t, "2", get(t, secondary.Inner(), "core/mounts"))

		other := *next("core/mounts", "3")
		other.To.Epoch.ID = "other"
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, &other)
		require.Equal(t, replication.PositionLost, replication.KindOf(err))

		enc := journal.NewFrameEncoder(2)
		enc.Add(3, []journal.Op{{Kind: journal.Put, Key: "core/auth", Value: []byte("x")},
			{Kind: journal.Put, Key: "core/hsm/barrier-unseal-keys", Value: []byte("evil")}})
		to := f2.To
		to.Sequence = 3
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, &replication.Frame{After: 2, To: to, Payload: enc.Payload()})
		require.Equal(t, replication.InvalidInput, replication.KindOf(err))
		require.ErrorContains(t, err, "not replicated in dr mode")
		require.Equal(t, "<none>", get(t, secondary.Inner(), "core/hsm/barrier-unseal-keys"))
		require.Equal(t, "<none>", get(t, secondary.Inner(), "core/auth"))
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, &replication.Frame{After: 2, To: to, Payload: []byte("junk")})
		require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	})
}

func TestApplyRangeRules(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	secondary := newTap(t, newTxn(t))
	one := journal.EncodeRange([]journal.Pair{{Key: "core/b", Value: []byte("v")}})
	good := replication.Range{UpTo: "core/c", Keys: 1, Payload: one}
	apply := func(change func(*replication.Range)) replication.Kind {
		r := good
		change(&r)
		_, err := secondary.Secondary(dr).ApplyRange(ctx, &r)
		require.Error(t, err)
		return replication.KindOf(err)
	}
	require.Equal(t, replication.InvalidInput, apply(func(*replication.Range) {}), "no copy is under way")
	at := replication.Position{Epoch: epoch, Sequence: 5}
	require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
	for name, change := range map[string]func(*replication.Range){
		"count":         func(r *replication.Range) { r.Keys = 2 },
		"not in order":  func(r *replication.Range) { r.After = "core/a" },
		"key after":     func(r *replication.Range) { r.UpTo = "core/a" },
		"ends before":   func(r *replication.Range) { r.UpTo = "" },
		"last has UpTo": func(r *replication.Range) { r.Last = true },
		"own": func(r *replication.Range) {
			r.Payload = journal.EncodeRange([]journal.Pair{{Key: "core/hsm/iv", Value: []byte("v")}})
			r.UpTo = "z"
		},
	} {
		require.Equal(t, replication.InvalidInput, apply(change), name)
	}
	require.Equal(t, "<none>", get(t, secondary.Inner(), "core/hsm/iv"))
	c, err := secondary.Secondary(dr).ApplyRange(ctx, &good)
	require.NoError(t, err)
	require.Equal(t, &replication.Cursor{Copying: true, CopyFrom: at, CopiedUpTo: "core/c", CopiedKeys: 1}, c)

	// A restart goes on where the copy was.
	secondary = newTap(t, secondary.Inner())
	c, err = secondary.Secondary(dr).Cursor(ctx)
	require.NoError(t, err)
	require.Equal(t, "core/c", c.CopiedUpTo)
	_, err = secondary.Secondary(dr).ApplyRange(ctx, &replication.Range{After: "core/c", Last: true, AsOf: 9,
		Payload: journal.EncodeRange(nil)})
	require.NoError(t, err)
	c, err = secondary.Secondary(dr).EndCopy(ctx)
	require.NoError(t, err)
	require.Equal(t, &replication.Cursor{Position: at, ConsistentFrom: 9}, c)
	require.False(t, c.Consistent())
	require.NoError(t, secondary.ForgetCursor(ctx, dr))
	c, err = secondary.Secondary(dr).Cursor(ctx)
	require.NoError(t, err)
	require.Equal(t, &replication.Cursor{}, c)
}

// A crash between transactions leaves the cursor at what was applied.
func TestApplyFrameIsResumed(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newTxn(t))
	f := newFaulty(t)
	secondary := newTap(t, f, func(o *storage.Options) { o.Limits = func() (int, int) { return 10, 0 } })
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	for i := range 20 {
		put(t, primary, key(i), "v")
	}
	r, err := primary.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	frame, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, uint64(20), frame.To.Sequence)
	f.set(failWritesOf(key(11), false), nil)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.Equal(t, replication.StorageFailed, replication.KindOf(err))
	c, err := secondary.Secondary(dr).Cursor(ctx)
	require.NoError(t, err)
	require.Equal(t, uint64(10), c.Position.Sequence)
	require.Len(t, content(t, secondary, dr), 10, "a state that the primary had")
	f.set(nil, nil)
	var keys []string
	secondary.OnApplied(func(_ context.Context, k []string) []string { keys = append(keys, k...); return nil })
	c, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.NoError(t, err)
	require.Equal(t, uint64(20), c.Position.Sequence)
	require.Len(t, keys, 10, "rows of the past are not applied again")
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}

// A row that is larger than a transaction is written before the cursor.
func TestRowLargerThanTransaction(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newTxn(t))
	secondary := newTap(t, newTxn(t), func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 17 << 10 } })
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	var txn []*physical.TxnEntry
	for i := range 40 {
		txn = append(txn, &physical.TxnEntry{Operation: physical.PutOperation,
			Entry: &physical.Entry{Key: key(i), Value: make([]byte, 3000)}})
	}
	require.NoError(t, primary.Backend().(physical.Transactional).Transaction(ctx, txn))
	put(t, primary, "core/mounts", strings.Repeat("x", 200<<10))
	c := follow(t, primary, secondary, dr, "s", 2)
	require.True(t, c.Consistent())
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}

func TestApplyHooks(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newTxn(t))
	secondary := newTap(t, newTxn(t))
	require.NoError(t, secondary.SetGuard(ctx, storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{dr}}))
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	secondary.BeforeApply(func(_ context.Context, b *txn.Batch) error {
		if e, ok := b.Get("core/keyring"); ok {
			b.Put(&physical.Entry{Key: "core/hsm/barrier-unseal-keys", Value: e.Value})
		}
		if _, ok := b.Get("core/bad"); ok {
			return errStorage
		}
		return nil
	})
	var keys []string
	secondary.OnApplied(func(_ context.Context, k []string) []string { keys = append(keys, k...); return nil })
	put(t, primary, "core/keyring", "k")
	follow(t, primary, secondary, dr, "s", 1)
	require.Equal(t, "k", get(t, secondary.Inner(), "core/hsm/barrier-unseal-keys"))
	require.ElementsMatch(t, []string{"core/keyring", "core/hsm/barrier-unseal-keys"}, keys)
	r, err := primary.ReadJournal(ctx, dr, "s", watermark(t, primary))
	require.NoError(t, err)
	put(t, primary, "core/bad", "v")
	f, err := r.Next()
	require.NoError(t, err)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
	require.ErrorIs(t, err, errStorage)
	require.Equal(t, "<none>", get(t, secondary.Inner(), "core/bad"))
}

// A secondary that is a primary too journals what it applies.
func TestApplyIsJournalled(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	first := newTap(t, newTxn(t))
	require.NoError(t, first.Activate(ctx, config(replication.Performance)))
	middle := newPrimary(t, newTxn(t))
	last := newTap(t, newTxn(t))
	at, err := first.OpenSlot(ctx, replication.Performance, "m")
	require.NoError(t, err)
	mat, err := middle.OpenSlot(ctx, dr, "l")
	require.NoError(t, err)
	copyAll(t, middle, last, dr, mat)
	copyAll(t, first, middle, replication.Performance, at)
	put(t, first, "core/mounts", "v")
	put(t, middle, "sys/token/id/a", "local")
	follow(t, first, middle, replication.Performance, "m", 1)
	follow(t, middle, last, dr, "l", watermark(t, middle).Sequence)
	// The cursor is journalled with the rows that it covers, so that the DR secondary can take over as performance
	// secondary from the same position.
	cursor := "replication/performance/cursor"
	require.Equal(t, map[string]string{
		"core/mounts": "v", "sys/token/id/a": "local", cursor: get(t, middle.Inner(), cursor),
	}, content(t, last, dr))
	p, err := first.Position(replication.Performance)
	require.NoError(t, err)
	require.Equal(t, uint64(1), p.Position.Sequence, "what the middle does with its cursor does not come back")
	require.NoError(t, last.StartFingerprint(ctx, dr, indexKey))
	require.Equal(t, fingerprintOf(t, middle, dr), fingerprintOf(t, last, dr))
	c, err := last.Secondary(replication.Performance).Cursor(ctx)
	require.NoError(t, err)
	require.Equal(t, uint64(1), c.Position.Sequence)

	require.NoError(t, middle.ForgetCursor(ctx, replication.Performance))
	follow(t, middle, last, dr, "l", watermark(t, middle).Sequence)
	require.Equal(t, "<none>", get(t, last.Inner(), cursor))
	require.Equal(t, fingerprintOf(t, middle, dr), fingerprintOf(t, last, dr))
}

// A scan lists a directory. A key that is created in it afterwards, ahead of the scan, is in the fingerprint.
func TestFingerprintOfKeyCreatedAheadOfScan(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newTap(t, f)
	put(t, tap, "logical/uuid/a", "v")
	put(t, tap, "logical/uuid/z", "v")
	put(t, tap, "logical/vvv/a", "v")
	listed, release := make(chan struct{}), make(chan struct{})
	f.list = func(prefix string) {
		if prefix == "logical/vvv/" {
			close(listed)
			<-release
		}
	}
	require.NoError(t, tap.StartFingerprint(ctx, dr, indexKey))
	<-listed
	put(t, tap, "logical/uuid/m", "created")
	put(t, tap, "logical/uuid/z", "changed")
	del(t, tap, "logical/uuid/a")
	close(release)
	got := fingerprintOf(t, tap, dr)
	again := newTap(t, f.TransactionalBackend)
	require.NoError(t, again.StartFingerprint(ctx, dr, indexKey))
	require.Equal(t, fingerprintOf(t, again, dr), got)
	_, n := again.Indexes().Fingerprint(dr)
	require.Equal(t, uint64(3), n)
}
