// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const perf = replication.Performance

// withMounts is a tap that knows all mount tables: a kv, a pki, an external plugin
// that is not loaded, and a local kv.
func withMounts(t testing.TB, tap *storage.Tap) *keyclass.Mounts {
	t.Helper()
	m := keyclass.NewMounts()
	for table := range keyclass.Tables {
		setTable(t, m, table)
	}
	setTable(t, m, "core/mounts", vaultname.Mount{UUID: "kv", Type: "kv"}, vaultname.Mount{UUID: "pki", Type: "pki"},
		vaultname.Mount{UUID: "ext", Type: "ext", External: true})
	setTable(t, m, "core/local-mounts", vaultname.Mount{UUID: "lkv", Type: "kv"})
	tap.Classes().SetMounts(m)
	return m
}

// perfPair is a performance primary with mounts and a secondary that follows it
// and knows the same.
func perfPair(t *testing.T, inner physical.Backend, change ...func(*storage.Options)) (primary, secondary *storage.Tap,
	pm, sm *keyclass.Mounts) {
	t.Helper()
	ctx := testContext(t)
	primary, secondary = newTap(t, inner, change...), newTap(t, newTxn(t))
	pm, sm = withMounts(t, primary), withMounts(t, secondary)
	require.NoError(t, primary.Activate(ctx, config(dr, perf)))
	at, err := primary.OpenSlot(ctx, perf, "s")
	require.NoError(t, err)
	require.NoError(t, secondary.StartFingerprint(ctx, perf, indexKey))
	copyAll(t, primary, secondary, perf, at)
	return primary, secondary, pm, sm
}

// catchUp follows to the primary's present position.
func catchUp(t *testing.T, primary, secondary *storage.Tap) {
	t.Helper()
	p, err := primary.Position(perf)
	require.NoError(t, err)
	follow(t, primary, secondary, perf, "s", p.Position.Sequence)
}

func requireSame(t *testing.T, primary, secondary *storage.Tap) {
	t.Helper()
	require.True(t, maps.Equal(content(t, primary, perf), content(t, secondary, perf)))
	require.Equal(t, fingerprintOf(t, primary, perf), fingerprintOf(t, secondary, perf))
}

// No byte for a performance secondary has local content or content of unknown mounts: from memory, from storage, or in
// a range.
func TestLocalNeverLeaves(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		write := func(tap *storage.Tap, n int) {
			for i := range 40 {
				for _, k := range []string{"logical/lkv/SECRET", "logical/pki/certs/SECRET", "logical/ext/SECRET",
					"logical/new/SECRET", "sys/token/id/SECRET", "core/unheard/SECRET", "replication/performance/cursor"} {
					put(t, tap, fmt.Sprint(k, i), fmt.Sprint("SECRET", n))
				}
				put(t, tap, fmt.Sprint("logical/kv/", i), fmt.Sprint("shared", n))
			}
			if txn, ok := tap.Backend().(physical.Transactional); ok {
				require.NoError(t, txn.Transaction(ctx, []*physical.TxnEntry{
					{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "logical/kv/t", Value: []byte("shared")}},
					{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "logical/lkv/SECRET", Value: []byte("SECRET")}},
				}))
			}
		}
		for name, ring := range map[string]int{"memory": 0, "storage": 1} {
			primary := newTap(t, inner, func(o *storage.Options) { o.RingBytes = ring })
			withMounts(t, primary)
			require.NoError(t, primary.Activate(ctx, config(dr, perf)))
			at, err := primary.OpenSlot(ctx, perf, name)
			require.NoError(t, err)
			write(primary, 1)
			del(t, primary, "logical/lkv/SECRET1")
			shared := 0
			r, err := primary.ReadJournal(ctx, perf, name, at)
			require.NoError(t, err)
			end, err := primary.Position(perf)
			require.NoError(t, err)
			for at.Sequence < end.Position.Sequence {
				f, err := r.Next()
				require.NoError(t, err)
				require.NotContains(t, string(f.Payload), "SECRET")
				shared += bytes.Count(f.Payload, []byte("logical/kv/"))
				at = f.To
			}
			require.GreaterOrEqual(t, shared, 40)
			rng, err := primary.ReadRange(ctx, perf, name, "")
			require.NoError(t, err)
			require.True(t, rng.Last)
			require.NotContains(t, string(rng.Payload), "SECRET")
			require.Contains(t, string(rng.Payload), "logical/kv/7")
			require.NoError(t, primary.Close(ctx))
		}
	})
}

// A key that turned out to be local after its row was written is not sent.
func TestKnownTooLateDoesNotLeave(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	for name, ring := range map[string]int{"memory": 0, "storage": 1} {
		tap := newTap(t, newTxn(t), func(o *storage.Options) { o.RingBytes = ring })
		m := withMounts(t, tap)
		m.SetLocalPrefixes("ext", nil)
		require.NoError(t, tap.Activate(ctx, config(dr, perf)))
		at, err := tap.OpenSlot(ctx, perf, "s")
		require.NoError(t, err)
		put(t, tap, "logical/ext/here/SECRET", "SECRET")
		put(t, tap, "logical/ext/there", "shared")
		m.SetLocalPrefixes("ext", []string{"here/"})
		r, err := tap.ReadJournal(ctx, perf, "s", at)
		require.NoError(t, err)
		f, err := r.Next()
		require.NoError(t, err)
		require.NotContains(t, string(f.Payload), "SECRET", name)
	}
}

// A primary that knows none of its mounts sends no keys of views.
func TestPerformanceWithoutMounts(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t))
	require.Equal(t, keyclass.Shared, tap.Classes().Class("logical/u/a"))
	require.NoError(t, tap.Activate(ctx, config(dr, perf)))
	put(t, tap, "logical/u/a", "v")
	rng, err := tap.ReadRange(ctx, perf, "s", "")
	require.NoError(t, err)
	require.Zero(t, rng.Keys)
}

// Keys are written and deleted while their mount is unknown. They reach performance secondaries when it becomes known,
// and both sides count them.
func TestReclassify(t *testing.T) {
	t.Parallel()
	for _, ring := range []int{0, 1} {
		backends(t, func(t *testing.T, inner physical.Backend) {
			ctx := testContext(t)
			primary, secondary, pm, sm := perfPair(t, inner, func(o *storage.Options) { o.RingBytes = ring })
			// The mount is known, then unknown (a restart without its plugin), then known again.
			for _, m := range []*keyclass.Mounts{pm, sm} {
				m.SetLocalPrefixes("ext", []string{"here/"})
			}
			require.NoError(t, primary.Reclassify(ctx, "logical/ext/"))
			require.NoError(t, secondary.Reclassify(ctx, "logical/ext/"))
			put(t, primary, "logical/ext/old", "deleted later")
			catchUp(t, primary, secondary)
			requireSame(t, primary, secondary)
			for _, m := range []*keyclass.Mounts{pm, sm} {
				setTable(t, m, "core/mounts", vaultname.Mount{UUID: "kv", Type: "kv"})
			}
			require.NoError(t, primary.Reclassify(ctx, "logical/ext/"))
			require.NoError(t, secondary.Reclassify(ctx, "logical/ext/"))
			for i := range 150 {
				put(t, primary, fmt.Sprintf("logical/ext/%03d", i), strings.Repeat("v", 20_000))
			}
			put(t, primary, "logical/ext/here/SECRET", "local")
			del(t, primary, "logical/ext/old")
			catchUp(t, primary, secondary)
			require.True(t, primary.Holds("logical/ext/"))
			require.Len(t, get(t, secondary.Inner(), "logical/ext/001"), len("<none>"))
			requireSame(t, primary, secondary)

			for _, side := range []struct {
				m   *keyclass.Mounts
				tap *storage.Tap
			}{{pm, primary}, {sm, secondary}} {
				setTable(t, side.m, "core/mounts", vaultname.Mount{UUID: "kv", Type: "kv"},
					vaultname.Mount{UUID: "ext", Type: "ext", External: true})
				require.Equal(t, []string{"logical/ext/"}, side.m.SetLocalPrefixes("ext", []string{"here/"}))
				require.NoError(t, side.tap.Reclassify(ctx, "logical/ext/"))
			}
			require.False(t, primary.Holds("logical/ext/"))
			catchUp(t, primary, secondary)
			require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/ext/old"))
			require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/ext/here/SECRET"))
			require.Len(t, get(t, secondary.Inner(), "logical/ext/149"), 20_000)
			requireSame(t, primary, secondary)
		})
	}
}

// Writers run while a mount becomes known. Nothing is lost between the two classes.
func TestReclassifyBesideWriters(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, pm, sm := perfPair(t, newTxn(t))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				k := fmt.Sprintf("logical/ext/%d-%d", w, n%50)
				var err error
				if n%5 == 4 {
					err = primary.Backend().Delete(ctx, k)
				} else {
					err = primary.Backend().Put(ctx, &physical.Entry{Key: k, Value: []byte(fmt.Sprint(n))})
				}
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	require.Eventually(t, func() bool { p, _ := primary.Position(perf); return p.Position.Sequence > 500 }, waitMax, tick)
	pm.SetLocalPrefixes("ext", nil)
	require.NoError(t, primary.Reclassify(ctx, "logical/ext/"))
	p, err := primary.Position(perf)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		now, _ := primary.Position(perf)
		return now.Position.Sequence > p.Position.Sequence+500
	}, waitMax, tick)
	close(stop)
	wg.Wait()
	sm.SetLocalPrefixes("ext", nil)
	require.NoError(t, secondary.Reclassify(ctx, "logical/ext/"))
	catchUp(t, primary, secondary)
	require.NotEmpty(t, content(t, secondary, perf))
	requireSame(t, primary, secondary)
}

// More deletions than are remembered: the secondary is sent to copy, once.
func TestReclassifyAfterTooManyDeletions(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, pm, sm := perfPair(t, newTxn(t))
	for i := range 10_100 {
		del(t, primary, fmt.Sprint("logical/ext/", i))
	}
	pm.SetLocalPrefixes("ext", nil)
	sm.SetLocalPrefixes("ext", nil)
	require.NoError(t, primary.Reclassify(ctx, "logical/ext/"))
	c, err := secondary.Secondary(perf).Cursor(ctx)
	require.NoError(t, err)
	r, err := primary.ReadJournal(ctx, perf, "s", c.Position)
	require.NoError(t, err)
	_, err = r.Next()
	require.Equal(t, replication.PositionLost, replication.KindOf(err))
	at, err := primary.OpenSlot(ctx, perf, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, perf, at)
	put(t, primary, "logical/ext/a", "v")
	catchUp(t, primary, secondary)
	require.Equal(t, "v", get(t, secondary.Inner(), "logical/ext/a"))
}

// Only views of mounts can change their class.
func TestReclassifyTakesViewsAlone(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, newTxn(t))
	for _, prefix := range []string{"core/mounts", "core/", "logical/", "logical/ext", "logical/ext/a/"} {
		require.Equal(t, replication.InvalidInput, replication.KindOf(primary.Reclassify(testContext(t), prefix)), prefix)
	}
}

// A new mount's rows come before its table. A copy clears a view that no mount has any more, but not a view whose
// backend is unknown here.
func TestSecondaryBeforeItsTables(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, secondary, pm, _ := perfPair(t, newTxn(t))
	pm.SetLocalPrefixes("ext", nil)
	setTable(t, pm, "core/auth", vaultname.Mount{UUID: "new", Type: "userpass"})
	put(t, primary, "auth/new/user/a", "v")
	put(t, primary, "logical/ext/a", "v")
	catchUp(t, primary, secondary)
	require.Equal(t, "v", get(t, secondary.Inner(), "auth/new/user/a"))
	require.Equal(t, "v", get(t, secondary.Inner(), "logical/ext/a"))
	for _, k := range []string{"logical/gone/a", "logical/ext/local", "logical/lkv/a", "logical/pki/certs/a",
		"logical/kv/gone"} {
		require.NoError(t, secondary.Inner().Put(ctx, &physical.Entry{Key: k, Value: []byte("here")}))
	}
	at, err := primary.OpenSlot(ctx, perf, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, perf, at)
	for k, want := range map[string]string{
		"logical/gone/a": "<none>", "logical/kv/gone": "<none>", "auth/new/user/a": "v",
		"logical/ext/local": "here", "logical/lkv/a": "here", "logical/pki/certs/a": "here",
	} {
		require.Equal(t, want, get(t, secondary.Inner(), k), k)
	}
	enc := journal.NewFrameEncoder(at.Sequence)
	enc.Add(at.Sequence+1, []journal.Op{{Kind: journal.Put, Key: "logical/lkv/a", Value: []byte("evil")}})
	to := at
	to.Sequence++
	_, err = secondary.Secondary(perf).ApplyFrame(ctx, &replication.Frame{After: at.Sequence, To: to,
		Payload: enc.Payload()})
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
}

// A filtered slot gets neither values nor names that it may not have. The next copy deletes what it had of them. Other
// slots get everything.
func TestFilter(t *testing.T) {
	t.Parallel()
	for name, ring := range map[string]int{"memory": 0, "storage": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			primary, secondary, _, _ := perfPair(t, newTxn(t), func(o *storage.Options) { o.RingBytes = ring })
			all, err := primary.OpenSlot(ctx, perf, "all")
			require.NoError(t, err)
			put(t, primary, "logical/kv/SECRET", "SECRET")
			catchUp(t, primary, secondary)
			require.Equal(t, "SECRET", get(t, secondary.Inner(), "logical/kv/SECRET"))
			require.NoError(t, primary.SetFilter(t.Context(), perf, "s",
				func(key string) bool { return !strings.HasPrefix(key, "logical/kv/") }))
			put(t, primary, "logical/kv/SECRET", "SECRET2")
			del(t, primary, "logical/kv/SECRET3")
			put(t, primary, "logical/pki/role/a", "shared")

			c, err := secondary.Secondary(perf).Cursor(ctx)
			require.NoError(t, err)
			read := func(slot string, after replication.Position) string {
				p, err := primary.Position(perf)
				require.NoError(t, err)
				r, err := primary.ReadJournal(ctx, perf, slot, after)
				require.NoError(t, err)
				defer r.Close()
				var out strings.Builder
				for after.Sequence < p.Position.Sequence {
					f, err := r.Next()
					require.NoError(t, err)
					out.Write(f.Payload)
					after = f.To
				}
				return out.String()
			}
			got := read("s", c.Position)
			require.NotContains(t, got, "SECRET")
			require.Contains(t, got, "shared")
			require.Contains(t, read("all", all), "SECRET2")
			rng, err := primary.ReadRange(ctx, perf, "s", "")
			require.NoError(t, err)
			require.NotContains(t, string(rng.Payload)+rng.UpTo, "SECRET")
			rng, err = primary.ReadRange(ctx, perf, "all", "")
			require.NoError(t, err)
			require.Contains(t, string(rng.Payload), "SECRET")

			at, err := primary.OpenSlot(ctx, perf, "s")
			require.NoError(t, err)
			require.NoError(t, secondary.Secondary(perf).BeginCopy(ctx, at, nil))
			rng, err = primary.ReadRange(ctx, perf, "s", "")
			require.NoError(t, err)
			_, err = secondary.Secondary(perf).ApplyRange(ctx, rng)
			require.NoError(t, err)
			_, err = secondary.Secondary(perf).EndCopy(ctx)
			require.NoError(t, err)
			require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/kv/SECRET"))
			require.Equal(t, "shared", get(t, secondary.Inner(), "logical/pki/role/a"))

			require.NoError(t, primary.SetFilter(t.Context(), perf, "s", nil))
			require.Contains(t, read("s", c.Position), "SECRET2")
		})
	}
}

// A filter and its record change in one step: no frame is read between them. If the record cannot be stored, the stream
// leaves nothing out.
func TestFilterChangesWithItsRecord(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, _, _, _ := perfPair(t, newTxn(t))
	at := watermark(t, primary)
	deny := func(key string) bool { return !strings.HasPrefix(key, "logical/kv/") }
	r, err := primary.ReadJournal(ctx, perf, "s", at)
	require.NoError(t, err)
	defer r.Close()
	frames := make(chan string, 2)
	begun := make(chan struct{})
	err = primary.ChangeFilter(t.Context(), perf, "s", deny, func() error {
		put(t, primary, "logical/kv/a", "SECRET")
		go func() {
			close(begun)
			f, err := r.Next()
			if err == nil {
				frames <- string(f.Payload)
			}
		}()
		<-begun
		put(t, primary, "core/replication-filters/s", "F")
		return nil
	})
	require.NoError(t, err)
	require.NotContains(t, <-frames, "SECRET")
	require.False(t, primary.Sends(perf, "s", "logical/kv/a"))

	err = primary.ChangeFilter(t.Context(), perf, "s", nil, func() error { return errors.New("storage is full") })
	require.Error(t, err)
	require.False(t, primary.Sends(perf, "s", "logical/kv/a"))
	require.NoError(t, primary.ChangeFilter(t.Context(), perf, "s", nil, func() error { return nil }))
	require.True(t, primary.Sends(perf, "s", "logical/kv/a"))
}

// A filtered slot gets no view that no table has, whatever its filter. Other slots still get the deletions of a view
// that is gone.
func TestFilterLeavesOutUnmountedViews(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, _, pm, _ := perfPair(t, newTxn(t))
	all, err := primary.OpenSlot(ctx, perf, "all")
	require.NoError(t, err)
	require.NoError(t, primary.SetFilter(t.Context(), perf, "s", func(string) bool { return true }))
	del(t, primary, "logical/kv/a")
	setTable(t, pm, "core/mounts")
	for slot, want := range map[string]bool{"all": true, "s": false} {
		r, err := primary.ReadJournal(ctx, perf, slot, all)
		require.NoError(t, err)
		f, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, want, bytes.Contains(f.Payload, []byte("logical/kv/a")), slot)
	}
}

func TestWipeLocal(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newTap(t, inner, func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 0 } })
		stay := []string{
			"core/mounts", "logical/kv/a", "logical/ext/a", "logical/pki/role/a", "sys/policy/a", "core/hsm/iv",
			"core/cluster/local/info", "core/cluster/feature-flags", "core/migration",
			"replication/performance/slots/1", "core/replication/performance/state/a", "core/local-mounts",
			"sys/counters/keep/a",
		}
		gone := []string{"core/local-auth", "core/wrapping/jwtkey", "logical/old/a", "auth/old/a", "audit/old/salt",
			"logical/lkv/a", "logical/pki/certs/a", "core/unheard-of"}
		for i := range 300 {
			gone = append(gone, fmt.Sprintf("sys/token/id/%d", i), fmt.Sprintf("sys/expire/id/%d", i))
		}
		for _, k := range append(append([]string{}, stay...), gone...) {
			put(t, tap, k, "v")
		}
		_, err := tap.Secondary(perf).WipeLocal(ctx)
		require.Equal(t, replication.Unavailable, replication.KindOf(err), "nobody knows whose the views are")
		withMounts(t, tap)
		require.NoError(t, tap.Secondary(perf).BeginCopy(ctx, replication.Position{Epoch: epoch}, nil))
		require.NoError(t, tap.Activate(ctx, config(dr)))
		require.NoError(t, tap.SetGuard(ctx, storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{perf}}))
		short, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = tap.Secondary(perf).WipeLocal(short)
		_, err = tap.Secondary(perf).WipeLocal(ctx, "core/local-mounts", "sys/counters/keep/")
		require.NoError(t, err)
		for _, k := range stay {
			require.Equal(t, "v", get(t, inner, k), k)
		}
		for _, k := range gone {
			require.Equal(t, "<none>", get(t, inner, k), k)
		}
		n, err := tap.Secondary(perf).WipeLocal(ctx, "core/local-mounts", "sys/counters/keep/")
		require.NoError(t, err)
		require.Zero(t, n)
		c, err := tap.Secondary(perf).Cursor(ctx)
		require.NoError(t, err)
		require.True(t, c.Copying, "where this secondary is stays known")
	})
}

// A wipe that a failure of the storage interrupts is continued. DR secondaries of this cluster get its deletions.
func TestWipeLocalIsResumedAndJournalled(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f, func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 0 } })
	withMounts(t, tap)
	for i := range 100 {
		put(t, tap, fmt.Sprintf("sys/token/id/%03d", i), "v")
	}
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	secondary := newTap(t, newTxn(t))
	copyAll(t, tap, secondary, dr, at)
	f.set(failWritesOf("sys/token/id/050", false), nil)
	n, err := tap.Secondary(perf).WipeLocal(ctx)
	require.Equal(t, replication.StorageFailed, replication.KindOf(err))
	require.NotZero(t, n)
	f.set(nil, nil)
	rest, err := tap.Secondary(perf).WipeLocal(ctx)
	require.NoError(t, err)
	require.Equal(t, uint64(100), n+rest)
	follow(t, tap, secondary, dr, "s", watermark(t, tap).Sequence)
	require.Empty(t, content(t, secondary, dr))
}
