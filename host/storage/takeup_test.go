// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/armon/go-metrics"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// core stands for a running core. It keeps what it read from the storage when it was told to.
type core struct {
	tap *storage.Tap

	mu       sync.Mutex
	has      map[string]string
	refuses  func(key string) bool // what it cannot take up, nil for nothing
	attempts int
}

func newCore(t *testing.T, tap *storage.Tap) *core {
	c := &core{tap: tap, has: map[string]string{}}
	tap.OnApplied(func(ctx context.Context, keys []string) (left []string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.attempts++
		if ctx.Err() != nil {
			return keys
		}
		for _, key := range keys {
			if c.refuses != nil && c.refuses(key) {
				left = append(left, key)
			} else {
				c.has[key] = get(t, tap.Backend(), key)
			}
		}
		return left
	})
	return c
}

func (c *core) of(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.has[key]
}

func (c *core) refuse(what func(string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses = what
}

func (c *core) eventually(t *testing.T, key, value string) {
	t.Helper()
	require.Eventually(t, func() bool { return c.of(key) == value }, waitMax, tick, "the core has %q of %s", c.of(key),
		key)
}

// nextFrame is what the primary sends to a secondary that stands where this one does.
func nextFrame(t *testing.T, primary, secondary *storage.Tap) *replication.Frame {
	t.Helper()
	c, err := secondary.Secondary(dr).Cursor(testContext(t))
	require.NoError(t, err)
	r, err := primary.ReadJournal(testContext(t), dr, "s", c.Position)
	require.NoError(t, err)
	f, err := r.Next()
	require.NoError(t, err)
	return f
}

const policy = "sys/policy/p"

// doubtful runs a test on storage that makes the write of the policy and answers it with an error, also with a cache
// that still has the old value.
func doubtful(t *testing.T, run func(t *testing.T, f *faulty, inner physical.Backend)) {
	for name, over := range map[string]func(*faulty) physical.Backend{
		"bare": func(f *faulty) physical.Backend { return f },
		"cached": func(f *faulty) physical.Backend {
			c := physical.NewTransactionalCache(f, 0, hclog.NewNullLogger(), &metrics.BlackholeSink{})
			c.SetEnabled(true)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t)
			run(t, f, over(f))
		})
	}
}

// A frame that was stored but answered with an error is taken up by itself, at the latest when the session goes on from
// the stored cursor.
func TestFrameInDoubtIsTakenUp(t *testing.T) {
	t.Parallel()
	doubtful(t, func(t *testing.T, f *faulty, inner physical.Backend) {
		ctx := testContext(t)
		primary, secondary, _ := pair(t, inner)
		core := newCore(t, secondary)
		put(t, primary, policy, "allow")
		follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
		require.Equal(t, "allow", core.of(policy))

		put(t, primary, policy, "deny")
		frame := nextFrame(t, primary, secondary)
		f.set(failWritesOf(policy, true), nil)
		_, err := secondary.Secondary(dr).ApplyFrame(ctx, frame)
		require.ErrorIs(t, err, errStorage)
		f.set(nil, nil)
		core.eventually(t, policy, "deny")

		resumed, err := secondary.Secondary(dr).Resume(ctx)
		require.NoError(t, err)
		require.Equal(t, frame.To, resumed.Position)
		require.Equal(t, "deny", core.of(policy))
		require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, frame.To))
	})
}

// A write may land late, after its keys were taken up. Then they are taken up once more.
func TestFrameThatLandsLateIsTakenUp(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	primary, secondary, _ := pair(t, f)
	core := newCore(t, secondary)
	put(t, primary, policy, "deny")
	frame := nextFrame(t, primary, secondary)
	var late []*physical.TxnEntry
	f.set(failWritesOf(policy, false), nil)
	f.caught = func(txn []*physical.TxnEntry) { late = txn }
	_, err := secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.ErrorIs(t, err, errStorage)
	f.set(nil, nil)
	core.eventually(t, policy, "<none>")

	require.NoError(t, f.TransactionalBackend.Transaction(ctx, late))
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.NoError(t, err, "it is behind the cursor")
	require.Equal(t, "deny", core.of(policy))
	require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, frame.To))
}

// sessions are the sequences of calls of a plugin that change the policy of a secondary. The caller of the last call
// gives up while it is being stored.
var sessions = map[string]func(ctx context.Context, t *testing.T, primary, secondary *storage.Tap) error{
	"frame": func(ctx context.Context, t *testing.T, primary, secondary *storage.Tap) error {
		_, err := secondary.Secondary(dr).ApplyFrame(ctx, nextFrame(t, primary, secondary))
		return err
	},
	"range": func(ctx context.Context, t *testing.T, primary, secondary *storage.Tap) error {
		at, err := primary.OpenSlot(testContext(t), dr, "s")
		require.NoError(t, err)
		require.NoError(t, secondary.Secondary(dr).BeginCopy(testContext(t), at, nil))
		rng, err := primary.ReadRange(testContext(t), dr, "", "")
		require.NoError(t, err)
		if _, err = secondary.Secondary(dr).ApplyRange(ctx, rng); err != nil {
			return err
		}
		_, err = secondary.Secondary(dr).EndCopy(testContext(t))
		return err
	},
	"comparison": func(ctx context.Context, t *testing.T, primary, secondary *storage.Tap) error {
		require.NoError(t, secondary.StartFingerprint(testContext(t), dr, indexKey))
		fingerprintOf(t, secondary, dr)
		at, err := primary.OpenSlot(testContext(t), dr, "s")
		require.NoError(t, err)
		require.NoError(t, secondary.Secondary(dr).BeginCopy(testContext(t), at, nil))
		step, err := secondary.Secondary(dr).Diff(testContext(t), nil)
		for ; err == nil && !step.Done; step, err = secondary.Secondary(dr).Diff(ctx, mustAnswer(t, primary, step.Question)) {
		}
		if err != nil {
			return err
		}
		_, err = secondary.Secondary(dr).EndCopy(testContext(t))
		return err
	},
}

func mustAnswer(t *testing.T, primary *storage.Tap, question []byte) []byte {
	t.Helper()
	answer, err := primary.AnswerDiff(testContext(t), dr, "s", question)
	require.NoError(t, err)
	return answer
}

// The caller of an apply may give up while it is being stored. It is still stored and taken up under the duty of the
// node, and waits for it end.
func TestCallerGoesWhileItIsStored(t *testing.T) {
	t.Parallel()
	for name, session := range sessions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t)
			primary, secondary, _ := pair(t, f)
			core := newCore(t, secondary)
			put(t, primary, policy, "allow")
			follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
			put(t, primary, policy, "deny")
			ctx, leave := context.WithCancel(testContext(t))
			defer leave()
			f.set(func(keys []string) (bool, error) {
				if slices.Contains(keys, policy) {
					leave()
				}
				return true, nil
			}, nil)
			_ = session(ctx, t, primary, secondary)
			require.ErrorIs(t, ctx.Err(), context.Canceled)
			require.Equal(t, "deny", core.of(policy))
			f.set(nil, nil)
			if name == "frame" {
				require.NoError(t, secondary.Secondary(dr).WaitApplied(testContext(t), watermark(t, primary)))
			}
		})
	}
}

// No position is reported as applied while a key at or below it is owed. The core is asked again even if nothing else
// arrives.
func TestPositionsWaitForWhatIsOwed(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, at := pair(t, newTxn(t))
	core := newCore(t, secondary)
	core.refuse(func(key string) bool { return key == policy })
	put(t, primary, policy, "deny")
	put(t, primary, key(1), "v")
	owes := watermark(t, primary)
	follow(t, primary, secondary, dr, "s", owes.Sequence)
	require.Equal(t, "v", core.of(key(1)), "the others are taken up")
	require.Equal(t, at, secondary.Secondary(dr).Applied(ctx))

	// The next row is applied and taken up, but moves no position either.
	put(t, primary, key(2), "w")
	later := watermark(t, primary)
	follow(t, primary, secondary, dr, "s", later.Sequence)
	require.Equal(t, "w", core.of(key(2)))
	require.Equal(t, at, secondary.Secondary(dr).Applied(ctx))
	// A request must not wait long for the core: it may hold a lock that the core waits for.
	require.Equal(t, replication.Unavailable, replication.KindOf(secondary.Secondary(dr).WaitApplied(ctx, owes)))
	require.Equal(t, 1, secondary.Secondary(dr).Owed())

	core.refuse(nil)
	core.eventually(t, policy, "deny")
	require.Eventually(t, func() bool { return secondary.Secondary(dr).Applied(ctx) == later }, waitMax, tick)
	require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, later))
	require.Zero(t, secondary.Secondary(dr).Owed())
}

// A node that learns its progress only now must not report owed keys as applied.
func TestProgressThatIsLearnedWhileSomethingIsOwed(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, _ := pair(t, newTxn(t))
	core := newCore(t, secondary)
	core.refuse(func(string) bool { return true })
	put(t, primary, policy, "deny")
	at := watermark(t, primary)
	follow(t, primary, secondary, dr, "s", at.Sequence)
	require.NoError(t, secondary.SetGuard(ctx, storage.Guard{Level: storage.Frozen})) // forgets it
	require.Zero(t, secondary.Secondary(dr).Applied(ctx).Sequence)
	core.refuse(nil)
	require.Eventually(t, func() bool { return secondary.Secondary(dr).Applied(ctx) == at }, waitMax, tick)
}

// When the duty ends, nothing more is taken up. The next duty begins with what is left.
func TestWhatIsOwedOutlivesADuty(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	primary, secondary, _ := pair(t, f)
	core := newCore(t, secondary)
	duty, end := context.WithCancel(ctx)
	secondary.OnDuty(duty)
	put(t, primary, policy, "deny")
	f.set(func(keys []string) (bool, error) {
		if slices.Contains(keys, policy) {
			end()
		}
		return true, nil
	}, nil)
	_, _ = secondary.Secondary(dr).ApplyFrame(ctx, nextFrame(t, primary, secondary))
	f.set(nil, nil)
	require.Equal(t, "deny", get(t, secondary.Inner(), policy))
	require.Empty(t, core.of(policy))
	secondary.OnDuty(ctx)
	core.eventually(t, policy, "deny")
}

// Keys that the host itself owes are taken up before anything more is applied.
func TestOweComesFirst(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, _ := pair(t, newTxn(t))
	var mu sync.Mutex
	var calls []string
	first := make(chan struct{})
	secondary.OnApplied(func(_ context.Context, keys []string) []string {
		<-first
		mu.Lock()
		defer mu.Unlock()
		for _, k := range keys {
			calls = append(calls, fmt.Sprintf("%s with %s", k, get(t, secondary.Inner(), policy)))
		}
		return nil
	})
	put(t, primary, policy, "deny")
	frame := nextFrame(t, primary, secondary)
	secondary.Secondary(dr).Owe("core/mounts")
	applied := make(chan error, 1)
	go func() {
		_, err := secondary.Secondary(dr).ApplyFrame(ctx, frame)
		applied <- err
	}()
	close(first)
	require.NoError(t, <-applied)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"core/mounts with <none>", policy + " with deny"}, calls)
}

// If the core takes up nothing, the secondary stops applying, so that memory does not fill.
func TestNothingIsAppliedBeyondWhatCanBeOwed(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, _ := pair(t, newTxn(t))
	core := newCore(t, secondary)
	core.refuse(func(string) bool { return true })
	for i := range 9 {
		secondary.Secondary(dr).Owe(fmt.Sprint(i, strings.Repeat("k", 2<<20)))
	}
	put(t, primary, policy, "deny")
	frame := nextFrame(t, primary, secondary)
	_, err := secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	require.Equal(t, "<none>", get(t, secondary.Inner(), policy))
	core.refuse(nil)
	require.Eventually(t, func() bool {
		_, err := secondary.Secondary(dr).ApplyFrame(ctx, frame)
		return err == nil
	}, waitMax, tick)
}

// A new session waits for the apply of the former session and then learns the cursor.
func TestResumeWaitsForAnApply(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	primary, secondary, _ := pair(t, f)
	put(t, primary, policy, "deny")
	frame := nextFrame(t, primary, secondary)
	storing, goOn := make(chan struct{}), make(chan struct{})
	f.set(func(keys []string) (bool, error) {
		if slices.Contains(keys, policy) {
			close(storing)
			<-goOn
		}
		return true, nil
	}, nil)
	former, leave := context.WithCancel(ctx)
	go func() { _, _ = secondary.Secondary(dr).ApplyFrame(former, frame) }()
	<-storing
	leave()
	resumed := make(chan *replication.Cursor, 1)
	go func() {
		c, err := secondary.Secondary(dr).Resume(ctx)
		require.NoError(t, err)
		resumed <- c
	}()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err := secondary.Secondary(dr).Resume(gone)
	require.ErrorIs(t, err, context.Canceled, "nobody waits longer than he wants")
	require.Empty(t, resumed)
	close(goOn)
	require.Equal(t, frame.To, (<-resumed).Position)
	_, err = secondary.Secondary(dr).ApplyFrame(former, frame)
	require.ErrorIs(t, err, context.Canceled, "an apply of a session that is gone does not begin")
}

// A copy may mend content of positions that were reported as applied. Until the core has taken it up, they are not
// reported as applied.
func TestPositionsWaitForWhatIsCopied(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"range", "comparison"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			primary, secondary, _ := pair(t, newTxn(t))
			for i := range 20 {
				put(t, primary, key(i), "v")
			}
			put(t, primary, policy, "deny")
			c := follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
			require.Equal(t, c.Position, secondary.Secondary(dr).Applied(ctx))
			require.NoError(t, secondary.Inner().Put(ctx, &physical.Entry{Key: policy, Value: []byte("allow")}))

			var busy atomic.Bool
			busy.Store(true)
			secondary.OnApplied(func(_ context.Context, keys []string) []string {
				if busy.Load() {
					return keys
				}
				return nil
			})
			require.NoError(t, sessions[name](ctx, t, primary, secondary))
			require.Equal(t, "deny", get(t, secondary.Inner(), policy))
			require.NotEqual(t, c.Position, secondary.Secondary(dr).Applied(ctx), "the core does not have it yet")
			busy.Store(false)
			require.NoError(t, secondary.Secondary(dr).WaitApplied(ctx, c.Position))
			require.Equal(t, c.Position, secondary.Secondary(dr).Applied(ctx))
		})
	}
}
