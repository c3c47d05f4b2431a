// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// comparison is what one took.
type comparison struct {
	questions, bytes  int
	differing, synced uint64
	copied            bool
}

// compare brings a secondary to its primary's content by comparing, and ends the
// copy; stop may cut it after a number of questions.
func compare(t testing.TB, primary, secondary *storage.Tap, mode replication.Mode, slot string,
	stop int) (out comparison) {
	t.Helper()
	ctx := testContext(t)
	step, err := secondary.Secondary(mode).Diff(ctx, nil)
	require.NoError(t, err)
	for !step.Done {
		if step.Copy {
			out.copied = true
			return out
		}
		if stop > 0 && out.questions == stop {
			return out
		}
		answer, err := primary.AnswerDiff(ctx, mode, slot, step.Question)
		require.NoError(t, err)
		out.questions++
		out.bytes += len(step.Question) + len(answer)
		require.Less(t, out.questions, 1000, "it does not end")
		step, err = secondary.Secondary(mode).Diff(ctx, answer)
		require.NoError(t, err)
	}
	out.differing, out.synced = step.Differing, step.Synced
	_, err = secondary.Secondary(mode).EndCopy(ctx)
	require.NoError(t, err)
	return out
}

// twins are a primary and a secondary with the same content, each with a fingerprint.
func twins(t testing.TB, inner physical.Backend, keys int) (primary, secondary *storage.Tap) {
	t.Helper()
	ctx := testContext(t)
	primary, secondary = newPrimary(t, inner), newTap(t, newTxn(t))
	require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
	for i := range keys {
		put(t, primary, key(i), fmt.Sprintf("value of %d", i))
	}
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	require.Equal(t, fingerprintOf(t, primary, dr), fingerprintOf(t, secondary, dr))
	return primary, secondary
}

// checked waits until all that the index has was read since it began.
func checked(t testing.TB, tap *storage.Tap) {
	t.Helper()
	require.Eventually(t, func() bool { return !tap.Indexes().State(dr).Checked.IsZero() }, waitMax, tick)
}

// reopen makes a new tap on the storage of another tap, as after a restart, and waits until it has read everything.
func reopen(t testing.TB, old *storage.Tap) *storage.Tap {
	t.Helper()
	require.NoError(t, old.Close(testContext(t)))
	tap := newTap(t, old.Inner())
	require.NoError(t, tap.StartFingerprint(testContext(t), dr, indexKey))
	checked(t, tap)
	return tap
}

// Whatever was changed below a secondary is found, and little else is fetched.
func TestDiffMendsWhatDiffers(t *testing.T) {
	t.Parallel()
	const keys = 3000
	for name, tt := range map[string]struct {
		change func(t *testing.T, b physical.Backend)
		most   uint64 // keys fetched
	}{
		"nothing": {func(*testing.T, physical.Backend) {}, 0},
		"a value": {func(t *testing.T, b physical.Backend) { putInner(t, b, key(1234), "flipped") }, 1},
		"a key is gone": {func(t *testing.T, b physical.Backend) { require.NoError(t, b.Delete(t.Context(), key(17))) },
			1},
		"a key too many": {func(t *testing.T, b physical.Backend) { putInner(t, b, "logical/uuid/key-00500-more", "x") },
			1},
		"the first": {func(t *testing.T, b physical.Backend) { require.NoError(t, b.Delete(t.Context(), key(0))) }, 1},
		"the last": {func(t *testing.T,
			b physical.Backend) {
			require.NoError(t, b.Delete(t.Context(), key(keys-1)))
		}, 1},
		"behind the last":  {func(t *testing.T, b physical.Backend) { putInner(t, b, "logical/zzz", "x") }, 0},
		"before the first": {func(t *testing.T, b physical.Backend) { putInner(t, b, "auth/x/y", "x") }, 1},
		"one in a hundred": {func(t *testing.T, b physical.Backend) {
			for i := 0; i < keys; i += 100 {
				putInner(t, b, key(i), "flipped")
			}
		}, keys / 100},
		"a directory": {func(t *testing.T, b physical.Backend) {
			for i := 1000; i < 2000; i++ {
				require.NoError(t, b.Delete(t.Context(), key(i)))
			}
		}, 1300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, secondary := twins(t, newTxn(t), keys)
			tt.change(t, secondary.Inner())
			secondary = reopen(t, secondary)
			at, err := primary.OpenSlot(testContext(t), dr, "s")
			require.NoError(t, err)
			require.NoError(t, secondary.Secondary(dr).BeginCopy(testContext(t), at, nil))
			out := compare(t, primary, secondary, dr, "s", 0)
			require.False(t, out.copied)
			require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
			require.Equal(t, fingerprintOf(t, primary, dr), fingerprintOf(t, secondary, dr))
			require.LessOrEqual(t, out.synced, tt.most)
			require.Equal(t, out.differing, out.synced)
			c, err := secondary.Secondary(dr).Cursor(testContext(t))
			require.NoError(t, err)
			require.Equal(t, at, c.Position)
			require.True(t, c.Consistent())
		})
	}
}

// For a secondary that has next to nothing, a comparison costs more than a copy.
func TestDiffOfAnEmptySecondaryIsACopy(t *testing.T) {
	t.Parallel()
	for name, has := range map[string]int{"nothing": 0, "a tenth": 300} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, _ := twins(t, newTxn(t), 3000)
			secondary := newTap(t, newTxn(t))
			for i := range has {
				put(t, secondary, key(i*10), fmt.Sprintf("value of %d", i*10))
			}
			require.NoError(t, secondary.StartFingerprint(testContext(t), dr, indexKey))
			at, err := primary.OpenSlot(testContext(t), dr, "s")
			require.NoError(t, err)
			require.NoError(t, secondary.Secondary(dr).BeginCopy(testContext(t), at, nil))
			require.True(t, compare(t, primary, secondary, dr, "s", 0).copied)
			c, err := secondary.Secondary(dr).Cursor(testContext(t))
			require.NoError(t, err)
			require.True(t, c.Copying)
			require.Empty(t, c.CopiedUpTo)
			step, err := secondary.Secondary(dr).Diff(testContext(t), nil)
			require.NoError(t, err)
			require.Equal(t, has == 0, step.Copy)
		})
	}
}

// A comparison that is cut off goes on where it was and does not ask again for what was equal.
func TestCutDiffGoesOn(t *testing.T) {
	t.Parallel()
	primary, secondary := twins(t, newTxn(t), 3000)
	for i := 0; i < 3000; i += 3 {
		putInner(t, secondary.Inner(), key(i), "flipped")
	}
	secondary = reopen(t, secondary)
	at, err := primary.OpenSlot(testContext(t), dr, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(dr).BeginCopy(testContext(t), at, nil))
	before := ""
	cuts := 0
	for ; ; cuts++ {
		// Each time a step further.
		out := compare(t, primary, secondary, dr, "s", 3+cuts)
		c, err := secondary.Secondary(dr).Cursor(testContext(t))
		require.NoError(t, err)
		if !c.Copying {
			require.LessOrEqual(t, out.synced, uint64(2100))
			break
		}
		require.GreaterOrEqual(t, c.CopiedUpTo, before)
		before = c.CopiedUpTo
		secondary = reopen(t, secondary)
	}
	require.Positive(t, cuts)
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}

// The primary is written during the comparison. The rows since the slot was opened complete the result.
func TestDiffBesideWrites(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		primary, secondary := twins(t, inner, 600)
		rnd := rand.New(rand.NewPCG(3, 4))
		for range 100 {
			if i := rnd.IntN(600); i%2 == 0 {
				putInner(t, secondary.Inner(), key(i), "flipped")
			} else {
				require.NoError(t, secondary.Inner().Delete(t.Context(), key(i)))
			}
		}
		secondary = reopen(t, secondary)
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 2 {
			rnd := rand.New(rand.NewPCG(5, uint64(w)))
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					k := key(rnd.IntN(800))
					if rnd.IntN(4) == 0 {
						_ = primary.Backend().Delete(context.Background(), k)
						continue
					}
					_ = primary.Backend().Put(context.Background(), &physical.Entry{Key: k, Value: fmt.Appendf(nil, "%d/%d", w, n)})
				}
			})
		}
		at, err := primary.OpenSlot(testContext(t), dr, "s")
		require.NoError(t, err)
		require.NoError(t, secondary.Secondary(dr).BeginCopy(testContext(t), at, nil))
		put(t, primary, "logical/uuid/later", "x")
		compare(t, primary, secondary, dr, "s", 0)
		after, err := secondary.Secondary(dr).Cursor(testContext(t))
		require.NoError(t, err)
		require.Equal(t, at, after.Position)
		require.Greater(t, after.ConsistentFrom, at.Sequence, "it has values of later writes")
		cancel()
		writers.Wait()
		c := follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		require.True(t, c.Consistent())
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
		require.Equal(t, fingerprintOf(t, primary, dr), fingerprintOf(t, secondary, dr))
	})
}

// A filtered secondary is compared with the content that it may have. Keys that it may no longer have are deleted, and
// so are keys of a mount that is gone.
func TestDiffBehindAFilter(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tables := func() *keyclass.Mounts {
		m := keyclass.NewMounts()
		for _, table := range []string{"core/auth", "core/audit", "core/local-mounts", "core/local-auth",
			"core/local-audit"} {
			setTable(t, m, table)
		}
		setTable(t, m, "core/mounts", vaultname.Mount{UUID: "kv", Type: "kv"}, vaultname.Mount{UUID: "hid", Type: "kv"})
		return m
	}
	with := func(o *storage.Options) {
		o.Classes = &keyclass.Classifier{}
		o.Classes.SetMounts(tables())
	}
	primary, secondary := newTap(t, newTxn(t), with), newTap(t, newTxn(t), with)
	require.NoError(t, primary.Activate(ctx, config(perf)))
	for i := range 500 {
		put(t, primary, fmt.Sprintf("logical/kv/%03d", i), "v")
		put(t, primary, fmt.Sprintf("logical/hid/%03d", i), "v")
		put(t, secondary, fmt.Sprintf("logical/kv/%03d", i), "v")
	}
	put(t, secondary, "logical/kv/007", "flipped")
	put(t, secondary, "logical/hid/1", "was allowed before")
	put(t, secondary, "logical/gone/1", "left")
	put(t, secondary, "logical/gone/dir/1", "left")
	require.NoError(t, secondary.StartFingerprint(ctx, perf, indexKey))
	fingerprintOf(t, secondary, perf)
	require.NoError(t, primary.SetFilter(t.Context(), perf, "s",
		func(key string) bool { return !strings.HasPrefix(key, "logical/hid/") }))
	at, err := primary.OpenSlot(ctx, perf, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(perf).BeginCopy(ctx, at, nil))
	out := compare(t, primary, secondary, perf, "s", 0)
	require.LessOrEqual(t, out.synced, uint64(2))
	want := content(t, primary, perf)
	for k := range want {
		if strings.HasPrefix(k, "logical/hid/") {
			delete(want, k)
		}
	}
	require.Equal(t, want, content(t, secondary, perf))
	// Also where nothing else differs.
	put(t, secondary, "logical/gone/2", "left")
	at, err = primary.OpenSlot(ctx, perf, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(perf).BeginCopy(ctx, at, nil))
	require.Zero(t, compare(t, primary, secondary, perf, "s", 0).differing)
	for _, k := range []string{"logical/gone/1", "logical/gone/dir/1", "logical/gone/2"} {
		require.Equal(t, "<none>", get(t, secondary.Inner(), k))
	}
}

// learns is a secondary's host that takes up the table of a new mount when the table arrives.
type learns struct {
	storage.Nobody
	learn func()
}

func (l learns) BeforeApply(_ context.Context, b *txn.Batch) error {
	if _, comes := b.Get(vaultname.Mounts); comes {
		l.learn()
	}
	return nil
}

// Keys of a mount may come ahead of its table. They stay when a comparison brings the table.
func TestDiffThatBringsAMountKeepsItsKeys(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, pm, sm := perfPair(t, newTxn(t))
	for i := range 300 {
		put(t, primary, fmt.Sprintf("logical/kv/%03d", i), "v")
	}
	catchUp(t, primary, secondary)
	mounts := []vaultname.Mount{{UUID: "kv", Type: "kv"}, {UUID: "new", Type: "kv"}}
	require.NoError(t, primary.Reclassify(ctx, setTable(t, pm, vaultname.Mounts, mounts...)...))
	put(t, primary, vaultname.Mounts, "with a new one")
	put(t, primary, "logical/new/a", "v")
	putInner(t, secondary.Inner(), "logical/new/a", "v")
	secondary.Observe(learns{learn: func() { setTable(t, sm, vaultname.Mounts, mounts...) }})
	at, err := primary.OpenSlot(ctx, perf, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(perf).BeginCopy(ctx, at, nil))
	require.False(t, compare(t, primary, secondary, perf, "s", 0).copied)
	require.Equal(t, "v", get(t, secondary.Inner(), "logical/new/a"))
	require.Equal(t, content(t, primary, perf), content(t, secondary, perf))
}

// Steps out of turn and invalid answers change nothing.
func TestDiffOutOfTurn(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary := twins(t, newTxn(t), 100)
	step, err := secondary.Secondary(dr).Diff(ctx, nil)
	require.NoError(t, err)
	require.True(t, step.Done, "nothing is missing, so nothing is asked")
	_, err = secondary.Secondary(dr).Diff(ctx, []byte("an answer to nothing"))
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
	_, err = secondary.Secondary(dr).Diff(ctx, []byte("an answer to nothing"))
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	step, err = secondary.Secondary(dr).Diff(ctx, nil)
	require.NoError(t, err)
	_, err = secondary.Secondary(dr).EndCopy(ctx)
	require.Equal(t, replication.InvalidInput, replication.KindOf(err), "it is not done")
	_, err = secondary.Secondary(dr).Diff(ctx, []byte("nonsense"))
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	_, err = primary.AnswerDiff(ctx, dr, "s", []byte("nonsense"))
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	_, err = secondary.AnswerDiff(ctx, dr, "s", step.Question)
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "it is no primary")
	require.False(t, compare(t, primary, secondary, dr, "s", 0).copied)
}

func putInner(t testing.TB, b physical.Backend, key, value string) {
	t.Helper()
	require.NoError(t, b.Put(testContext(t), &physical.Entry{Key: key, Value: []byte(value)}))
}
