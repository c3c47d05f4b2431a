// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// pair is a primary and a secondary that has copied it.
func pair(t *testing.T, inner physical.Backend, change ...func(*storage.Options)) (primary, secondary *storage.Tap,
	at replication.Position) {
	t.Helper()
	primary = newPrimary(t, newTxn(t))
	secondary = newTap(t, inner, change...)
	at, err := primary.OpenSlot(testContext(t), dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	return primary, secondary, at
}

// told records the keys of each call of the hook OnApplied. It fails when two calls overlap.
func told(t *testing.T, tap *storage.Tap) *[]string {
	var calls []string
	var inside atomic.Int32
	tap.OnApplied(func(_ context.Context, keys []string) []string {
		if inside.Add(1) != 1 {
			t.Error("two calls at a time")
		}
		defer inside.Add(-1)
		calls = append(calls, strings.Join(keys, " "))
		return nil
	})
	return &calls
}

// A table is applied by itself. The core knows all earlier rows before the table is stored, and no later row is stored
// when the core is told of the table.
func TestAloneIsApplied(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		primary, secondary, at := pair(t, inner, func(o *storage.Options) {
			o.Alone = func(key string) bool { return key == "core/mounts" || key == "core/auth" }
		})
		ctx := testContext(t)
		put(t, primary, "core/z-gone", "x")
		put(t, primary, "logical/u/a", "1")
		put(t, primary, "logical/u/b", "2")
		put(t, primary, "core/mounts", "3")
		put(t, primary, "core/auth", "4")
		del(t, primary, "logical/u/a")
		put(t, primary, "logical/u/c", "6")
		calls := told(t, secondary)
		first := secondary
		secondary.OnApplied(func(_ context.Context, keys []string) []string {
			*calls = append(*calls, strings.Join(keys, " "))
			if slices.Contains(keys, "core/mounts") {
				require.Equal(t, "1", get(t, first.Inner(), "logical/u/a"), "nothing later is there")
				require.Equal(t, "3", get(t, first.Inner(), "core/mounts"))
				c, err := first.Secondary(dr).Cursor(ctx)
				require.NoError(t, err)
				require.Equal(t, at.Sequence+4, c.Position.Sequence)
			}
			return nil
		})
		follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		require.Equal(t, []string{
			"core/z-gone logical/u/a logical/u/b", "core/mounts", "core/auth", "logical/u/a logical/u/c",
		}, *calls)
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
	})
}

// The core is told of a range once, when all of it is durable. The call names deleted keys, and no key whose value was
// equal already.
func TestRangeIsToldOnce(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newTxn(t))
	secondary := newTap(t, newTxn(t), func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 0 } })
	want := []string{}
	for i := range 200 {
		if put(t, primary, key(i), "v"); i%3 == 0 {
			put(t, secondary, key(i), "v")
		} else {
			want = append(want, key(i))
		}
	}
	put(t, secondary, "logical/uuid/zzz", "not on the primary")
	want = append(want, "logical/uuid/zzz")
	calls := told(t, secondary)
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	require.Len(t, *calls, 1)
	require.ElementsMatch(t, want, strings.Fields((*calls)[0]))
}

// When a range fails, the core is told of the keys that it wrote with the next attempt that succeeds.
func TestFailedRangeIsToldInTheEnd(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newPrimary(t, newTxn(t))
	f := newFaulty(t)
	secondary := newTap(t, f, func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 0 } })
	for i := range 50 {
		put(t, primary, key(i), "v")
	}
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
	rng, err := primary.ReadRange(ctx, dr, "", "")
	require.NoError(t, err)
	calls := told(t, secondary)
	f.set(failWritesOf(key(49), false), nil)
	_, err = secondary.Secondary(dr).ApplyRange(ctx, rng)
	require.Error(t, err)
	require.Empty(t, *calls)
	f.set(nil, nil)
	_, err = secondary.Secondary(dr).ApplyRange(ctx, rng)
	require.NoError(t, err)
	require.Len(t, *calls, 1)
	for i := range 50 {
		require.Contains(t, (*calls)[0], key(i))
	}
}

func TestWaitApplied(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, at := pair(t, newTxn(t))
	require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, at), "reached already")
	put(t, primary, "core/mounts", "1")
	here := watermark(t, primary)
	entered, release := make(chan struct{}), make(chan struct{})
	secondary.OnApplied(func(context.Context, []string) []string { close(entered); <-release; return nil })
	done := make(chan error, 1)
	go func() { done <- secondary.Secondary(dr).WaitApplied(ctx, here) }()
	followed := make(chan struct{})
	go func() { follow(t, primary, secondary, dr, "s", here.Sequence); close(followed) }()
	<-entered
	c, err := secondary.Secondary(dr).Cursor(ctx)
	require.NoError(t, err)
	require.Equal(t, here.Sequence, c.Position.Sequence)
	select {
	case err := <-done:
		t.Fatalf("the host does not know of it yet: %v", err)
	default:
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, secondary.Secondary(dr).WaitApplied(short, here), context.Canceled)
	close(release)
	require.NoError(t, <-done)
	<-followed
	require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, here))

	other := here
	other.Epoch.ID = "other"
	require.Equal(t, replication.PositionLost, replication.KindOf(secondary.Secondary(dr).WaitApplied(ctx, other)))
	require.Equal(t, replication.InvalidInput,
		replication.KindOf(secondary.Secondary(dr).WaitApplied(ctx, replication.Position{})))
	require.Equal(t, replication.PositionLost,
		replication.KindOf(secondary.Secondary(replication.Performance).WaitApplied(ctx, here)), "no secondary in this mode")

	// A node that starts knows how far it is.
	again := newTap(t, secondary.Inner())
	require.NoError(t, again.Secondary(dr).WaitApplied(ctx, here))
}

// waiting starts waits and returns when all of them wait.
func waiting(t *testing.T, tap *storage.Tap, at ...replication.Position) chan error {
	t.Helper()
	ctx := testContext(t)
	before := tap.Secondary(dr).Waiting()
	done := make(chan error, len(at))
	for _, p := range at {
		go func() { done <- tap.Secondary(dr).WaitApplied(ctx, p) }()
	}
	require.Eventually(t, func() bool { return tap.Secondary(dr).Waiting() == before+len(at) }, waitMax, tick)
	return done
}

func TestWaitsEnd(t *testing.T) {
	t.Parallel()
	far := func(at replication.Position) replication.Position { at.Sequence += 1000; return at }
	for name, tc := range map[string]struct {
		end  func(context.Context, *storage.Tap) error
		kind replication.Kind
	}{
		"closed":    {func(ctx context.Context, s *storage.Tap) error { return s.Close(ctx) }, replication.Unavailable},
		"abandoned": {func(ctx context.Context, s *storage.Tap) error { return s.Abandon(ctx) }, replication.Unavailable},
		"forgotten": {func(ctx context.Context, s *storage.Tap) error { return s.ForgetCursor(ctx, dr) },
			replication.Unavailable},
		"promoted": {func(ctx context.Context, s *storage.Tap) error { return s.SetGuard(ctx, storage.Guard{}) },
			replication.Unavailable},
		"frozen": {func(ctx context.Context, s *storage.Tap) error {
			return s.SetGuard(ctx, storage.Guard{Level: storage.Frozen})
		}, replication.Unavailable},
		"new epoch": {func(ctx context.Context, s *storage.Tap) error {
			from := replication.Position{Epoch: replication.Epoch{Generation: 2, ID: "e2"}, Sequence: 5000}
			if err := s.Secondary(dr).BeginCopy(ctx, from, nil); err != nil {
				return err
			}
			if _, err := s.Secondary(dr).ApplyRange(ctx, &replication.Range{Last: true, Payload: emptyRange}); err != nil {
				return err
			}
			_, err := s.Secondary(dr).EndCopy(ctx)
			return err
		}, replication.PositionLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			_, secondary, at := pair(t, newTxn(t))
			require.NoError(t, secondary.SetGuard(ctx, storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{dr}}))
			done := waiting(t, secondary, far(at), far(at))
			require.NoError(t, tc.end(ctx, secondary))
			require.Equal(t, tc.kind, replication.KindOf(<-done))
			require.Equal(t, tc.kind, replication.KindOf(<-done))
			require.Zero(t, secondary.Secondary(dr).Waiting())
		})
	}
}

// Waits end in order as rows arrive. During a copy they end at its end. They leave nothing behind.
func TestManyWait(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, at := pair(t, newTxn(t),
		func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 0 } })
	var all []replication.Position
	for i := range 2000 {
		p := at
		p.Sequence += uint64(i%100) + 1
		all = append(all, p)
	}
	done := waiting(t, secondary, all...)
	short, cancel := context.WithCancel(ctx)
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- secondary.Secondary(dr).WaitApplied(short, all[50]) }()
	require.Eventually(t, func() bool { return secondary.Secondary(dr).Waiting() == 2001 }, waitMax, tick)
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	require.Equal(t, 2000, secondary.Secondary(dr).Waiting())
	for i := range 50 {
		put(t, primary, key(i), "v")
	}
	follow(t, primary, secondary, dr, "s", at.Sequence+50)
	require.Equal(t, 1000, secondary.Secondary(dr).Waiting())
	for i := range 50 {
		put(t, primary, key(i), fmt.Sprint("w", i))
	}
	copyAll(t, primary, secondary, dr, watermark(t, primary))
	for range 2000 {
		require.NoError(t, <-done)
	}
	require.Zero(t, secondary.Secondary(dr).Waiting())
}

// A secondary that was forced to copy applies no rows before the copy has begun, even after restarts.
func TestForceCopy(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, at := pair(t, newTxn(t))
	r, err := primary.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	put(t, primary, "core/mounts", "1")
	f, err := r.Next()
	require.NoError(t, err)
	require.NoError(t, secondary.Secondary(dr).ForceCopy(ctx))
	secondary = newTap(t, secondary.Inner())
	for range 2 {
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
		require.Equal(t, replication.PositionLost, replication.KindOf(err))
	}
	require.Equal(t, "<none>", get(t, secondary.Inner(), "core/mounts"))
	c := copyAll(t, primary, secondary, dr, at)
	require.Equal(t, at, c.Position)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
	require.NoError(t, err)

	// Widened during a copy: that one does not count.
	require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
	require.NoError(t, secondary.Secondary(dr).ForceCopy(ctx))
	rng, err := primary.ReadRange(ctx, dr, "", "")
	require.NoError(t, err)
	_, err = secondary.Secondary(dr).ApplyRange(ctx, rng)
	require.NoError(t, err)
	_, err = secondary.Secondary(dr).EndCopy(ctx)
	require.NoError(t, err)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
	require.Equal(t, replication.PositionLost, replication.KindOf(err))
	copyAll(t, primary, secondary, dr, at)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
	require.NoError(t, err)

	fresh := newTap(t, newTxn(t))
	require.NoError(t, fresh.Secondary(dr).ForceCopy(ctx))
	c, err = fresh.Secondary(dr).Cursor(ctx)
	require.NoError(t, err)
	require.Equal(t, &replication.Cursor{}, c)
}

// The hook of an apply may force a copy. That holds even when the same frame or copy writes the cursor afterwards.
func TestForceCopyWithinAnApply(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, at := pair(t, newTxn(t))
	secondary = newTap(t, secondary.Inner(),
		func(o *storage.Options) { o.Alone = func(key string) bool { return key == "core/mounts" } })
	force := func(_ context.Context, keys []string) []string {
		if slices.Contains(keys, "core/mounts") {
			require.NoError(t, secondary.Secondary(dr).ForceCopyApplied(ctx))
		}
		return nil
	}
	mustCopy := func() bool {
		must, err := secondary.Secondary(dr).MustCopy(ctx)
		require.NoError(t, err)
		return must
	}
	secondary.OnApplied(force)
	r, err := primary.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	put(t, primary, "core/mounts", "1")
	put(t, primary, "core/after", "1")
	for mine := at; mine.Sequence < at.Sequence+2; {
		f, err := r.Next()
		require.NoError(t, err)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
		if mine != at {
			require.Equal(t, replication.PositionLost, replication.KindOf(err))
		}
		mine = f.To
	}
	require.True(t, mustCopy())

	secondary.OnApplied(nil)
	copyAll(t, primary, secondary, dr, at)
	require.False(t, mustCopy())
	put(t, primary, "core/mounts", "2")
	secondary.OnApplied(force)
	copyAll(t, primary, secondary, dr, watermark(t, primary))
	require.True(t, mustCopy(), "the copy that has brought it may lack what it lets in")
	secondary.OnApplied(nil)
	copyAll(t, primary, secondary, dr, watermark(t, primary))
	follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
}
