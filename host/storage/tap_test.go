// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestPassThrough(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		physical.ExerciseBackend(t, newTap(t, inner).Backend())
	})
}

// The SDK's own test of a backend, with a journal and a slot.
func TestBackendWhileJournalling(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		tap := newPrimary(t, inner)
		_, err := tap.OpenSlot(testContext(t), replication.DR, "s")
		require.NoError(t, err)
		physical.ExerciseBackend(t, physical.NewView(tap.Backend(), "test/"))
		physical.ExerciseBackend_ListPrefix(t, physical.NewView(tap.Backend(), "more/"))
		b := tap.Backend()
		if txn, ok := b.(physical.TransactionalBackend); ok {
			require.NoError(t, txn.Transaction(testContext(t), []*physical.TxnEntry{
				{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "a", Value: []byte("1")}},
				{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "a", Value: []byte("2")}},
				{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: "b"}},
			}))
			require.Equal(t, "2", get(t, b, "a"))
		}
	})
}

func TestTransactionalIffInnerIs(t *testing.T) {
	t.Parallel()
	_, ok := newTap(t, newTxn(t)).Backend().(physical.TransactionalLimits)
	require.True(t, ok)
	_, ok = newTap(t, newInmem(t)).Backend().(physical.Transactional)
	require.False(t, ok)
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		guard   storage.Guard
		refused []string
		passed  []string
	}{
		{"open", storage.Guard{}, nil, []string{"core/mounts", "sys/token/id/a", "core/hsm/iv", "core/new"}},
		{
			"DR", storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.DR}},
			[]string{"core/mounts", "sys/token/id/a", "core/new"},
			[]string{"core/hsm/iv", "core/leader/x", "core/replication/a"},
		},
		{
			"performance", storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.Performance}},
			[]string{"core/mounts", "logical/u/a"},
			[]string{"sys/token/id/a", "core/hsm/iv", "core/local-mounts"},
		},
		{
			"bootstrapping", storage.Guard{Level: storage.ReadOnly, Modes: replication.Modes(),
				Own: "core/replication/performance/state/"},
			[]string{"core/mounts", "sys/token/id/a", "core/replication/performance/role"},
			[]string{"core/replication/performance/state/a", "core/replication/a"},
		},
		{
			"frozen", storage.Guard{Level: storage.Frozen},
			[]string{"core/mounts", "sys/token/id/a", "core/hsm/iv", "core/new"}, nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			want := logical.ErrReadOnly
			if tc.guard.Level == storage.Frozen {
				want = storage.ErrFrozen
			}
			tap := newTap(t, newTxn(t))
			b := tap.Backend().(physical.TransactionalBackend)
			require.NoError(t, tap.SetGuard(ctx, tc.guard))
			for _, k := range tc.refused {
				e := &physical.Entry{Key: k, Value: []byte("v")}
				require.ErrorIs(t, b.Put(ctx, e), want, k)
				require.ErrorIs(t, b.Delete(ctx, k), want, k)
				require.ErrorIs(t, b.Transaction(ctx, []*physical.TxnEntry{{Operation: physical.PutOperation, Entry: e}}), want, k)
				require.Equal(t, "<none>", get(t, tap.Inner(), k))
				var passed txn.Batch
				passed.Put(e)
				require.NoError(t, tap.Commit(ctx, &passed), "a commit passes every guard")
			}
			for _, k := range tc.passed {
				require.NoError(t, b.Put(ctx, &physical.Entry{Key: k, Value: []byte("v")}), k)
			}
		})
	}
}

func TestGuardAbsorbs(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newTap(t, newTxn(t))
	put(t, tap, "core/upgrade/1", "v")
	require.NoError(t, tap.SetGuard(ctx,
		storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.DR}}))
	del(t, tap, "core/upgrade/1")
	require.NoError(t, tap.Backend().(physical.Transactional).Transaction(ctx, []*physical.TxnEntry{
		{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: "core/upgrade/1"}},
		{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "core/lock", Value: []byte("l")}},
	}))
	require.Equal(t, "v", get(t, tap.Inner(), "core/upgrade/1"))
	require.Equal(t, "l", get(t, tap.Inner(), "core/lock"))
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/upgrade/1"}), logical.ErrReadOnly)
}

func TestLeaderHook(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newTap(t, newTxn(t))
	calls := 0
	fail := true
	tap.OnLeaderWrite(func(ctx context.Context) error {
		calls++
		if fail {
			return errStorage
		}
		return tap.Activate(ctx, config(replication.DR))
	})
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/leader/u", Value: []byte("x")}), errStorage)
	require.Equal(t, "<none>", get(t, tap.Inner(), "core/leader/u"))
	fail = false
	put(t, tap, "core/leader/u", "x")
	put(t, tap, "core/mounts", "x")
	require.Equal(t, 2, calls)
	require.Equal(t, uint64(1), journal.TermCount(watermark(t, tap).Term))
	require.Equal(t, uint64(1), watermark(t, tap).Sequence, "own keys take no number")
}

// A change of the guard returns only when the writes that it would refuse have ended.
func TestGuardWaitsForWrites(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newTap(t, f)
	started, release := make(chan struct{}), make(chan struct{})
	f.set(func([]string) (bool, error) { close(started); <-release; return true, nil }, nil)
	var wg sync.WaitGroup
	wg.Go(func() { _ = tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("v")}) })
	<-started
	short, cancel := context.WithCancel(ctx)
	cancel()
	require.Equal(t, replication.Unavailable,
		replication.KindOf(tap.SetGuard(short, storage.Guard{Level: storage.Frozen})))
	done := make(chan error, 1)
	go func() { done <- tap.SetGuard(ctx, storage.Guard{Level: storage.Frozen}) }()
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts"}), storage.ErrFrozen,
		"new writes are refused at once")
	select {
	case err := <-done:
		t.Fatalf("the change did not wait: %v", err)
	default:
	}
	close(release)
	require.NoError(t, <-done)
	wg.Wait()
}

// When it starts, the core writes tables that the secondary gets from its primary. These writes are dropped, and no
// others.
func TestGuardAbsorbsExactKeys(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newTap(t, newTxn(t))
	put(t, tap, "core/mounts", "primary's")
	guard := storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.Performance},
		Absorb: []string{"core/mounts"}}
	require.NoError(t, tap.SetGuard(ctx, guard))
	put(t, tap, "core/mounts", "upgraded")
	del(t, tap, "core/mounts")
	require.NoError(t, tap.Backend().(physical.Transactional).Transaction(ctx, []*physical.TxnEntry{
		{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "core/mounts", Value: []byte("upgraded")}},
		{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "core/local-mounts", Value: []byte("local")}},
	}))
	require.Equal(t, "primary's", get(t, tap.Inner(), "core/mounts"))
	require.Equal(t, "local", get(t, tap.Inner(), "core/local-mounts"))
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/auth"}), logical.ErrReadOnly)
	require.NoError(t, tap.SetGuard(ctx, storage.Guard{Level: storage.Frozen, Absorb: guard.Absorb}))
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts"}), storage.ErrFrozen)
}

// On a performance secondary, writes of shared keys and of keys of unknown class are refused and noted. Local keys are
// written.
func TestGuardByMounts(t *testing.T) {
	t.Parallel()
	tap, mounts := newTap(t, newTxn(t)), keyclass.NewMounts()
	tap.Classes().SetMounts(mounts)
	setTable(t, mounts, "core/mounts", vaultname.Mount{UUID: "pki", Type: "pki"},
		vaultname.Mount{UUID: "ext", Type: "ext", External: true})
	setTable(t, mounts, "core/local-mounts", vaultname.Mount{UUID: "cubby", Type: "cubbyhole"})
	b := tap.Backend().(physical.TransactionalBackend)
	require.NoError(t, tap.SetGuard(testContext(t),
		storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.Performance}}))
	for _, k := range []string{"logical/pki/certs/1", "logical/cubby/a", "sys/token/id/a"} {
		ctx, mark := refusal.With(testContext(t))
		require.NoError(t, b.Put(ctx, &physical.Entry{Key: k, Value: []byte("v")}), k)
		require.False(t, mark.Noted())
	}
	require.Zero(t, tap.Refusals().Of("logical/pki/"))
	for i, k := range []string{"logical/pki/role/a", "logical/ext/a", "logical/unheard-of/a"} {
		e := &physical.Entry{Key: k, Value: []byte("v")}
		for _, write := range []func(context.Context) error{
			func(ctx context.Context) error { return b.Put(ctx, e) },
			func(ctx context.Context) error { return b.Delete(ctx, k) },
			func(ctx context.Context) error {
				return b.Transaction(ctx, []*physical.TxnEntry{{Operation: physical.PutOperation, Entry: e}})
			},
		} {
			ctx, mark := refusal.With(testContext(t))
			require.ErrorIs(t, write(ctx), logical.ErrReadOnly, k)
			require.True(t, mark.Noted(), k)
		}
		require.Equal(t, "<none>", get(t, tap.Inner(), k))
		require.Equal(t, uint64(3), tap.Refusals().Of([]string{"logical/pki/", "logical/ext/", "logical/unheard-of/"}[i]))
	}
}

// The hook is told of a table before it is stored, and after a failure of what the storage has.
func TestTableHook(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newTap(t, f)
	var told []string
	tap.OnTableWrite(func(_ context.Context, key string, value []byte) error {
		told = append(told, key+"="+string(value)+" over "+get(t, tap.Inner(), key))
		if string(value) == "bad" {
			return errStorage
		}
		return nil
	})
	b := tap.Backend().(physical.TransactionalBackend)
	var stored []string
	tap.OnTableStored(func(_ context.Context, key string) { stored = append(stored, key+"="+get(t, tap.Inner(), key)) })
	put(t, tap, "core/mounts", "1")
	put(t, tap, "core/other", "1")
	require.NoError(t, b.Transaction(ctx, []*physical.TxnEntry{
		{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "core/auth", Value: []byte("2")}},
		{Operation: physical.PutOperation, Entry: &physical.Entry{Key: "core/local-auth", Value: []byte("3")}},
	}))
	require.Equal(t, []string{"core/mounts=1 over <none>", "core/auth=2 over <none>", "core/local-auth=3 over <none>"},
		told)
	require.Equal(t, []string{"core/mounts=1", "core/auth=2", "core/local-auth=3"}, stored)

	told, stored = nil, nil
	f.set(failWritesOf("core/mounts", false), nil)
	require.ErrorIs(t, b.Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("2")}), errStorage)
	require.Equal(t, []string{"core/mounts=2 over 1", "core/mounts=1 over 1"}, told)
	require.Empty(t, stored, "a write that failed")
	f.set(nil, nil)

	require.ErrorIs(t, b.Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("bad")}), errStorage)
	require.Equal(t, "1", get(t, tap.Inner(), "core/mounts"))

	told = nil
	require.NoError(t, tap.SetGuard(ctx,
		storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.Performance},
			Absorb: []string{"core/auth"}}))
	require.ErrorIs(t, b.Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("3")}), logical.ErrReadOnly)
	put(t, tap, "core/auth", "3")
	require.Empty(t, told, "a table that is not written changes nothing")
	put(t, tap, "core/local-mounts", "4")
	require.Len(t, told, 1)
}

// The write of a table fails. Once the storage answers, the hook is told of the stored table, and the keys of its
// mounts are journalled: until then they were classified by a table that was not stored.
func TestTableThatStaysIsTakenUpLater(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	put(t, tap, "core/mounts", "1")
	var mu sync.Mutex
	var taken string
	refuse := 3
	tap.OnTableWrite(func(_ context.Context, _ string, value []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if string(value) == "1" && refuse > 0 {
			refuse--
			return errStorage
		}
		taken = string(value)
		return nil
	})
	f.set(failWritesOf("core/mounts", false), nil)
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("2")}), errStorage)
	f.set(nil, nil)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return taken == "1"
	}, waitMax, tick)
	put(t, tap, "core/mounts", "3")
	require.Equal(t, "3", taken)
}
