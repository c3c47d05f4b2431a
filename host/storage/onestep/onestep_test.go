// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/corpus"
)

// cutting fails every write after a number of them, as a crash does; the one at which it
// fails has its effect or not.
type cutting struct {
	physical.Backend
	mu    sync.Mutex
	left  int
	lands bool
}

var errCut = errors.New("cut")

func (c *cutting) set(left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = left
}

func (c *cutting) spend(effect func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		c.left = -1
		if c.lands {
			_ = effect()
		}
		return errCut
	}
	if c.left < 0 {
		return errCut
	}
	c.left--
	return effect()
}

func (c *cutting) Put(ctx context.Context, e *physical.Entry) error {
	return c.spend(func() error { return c.Backend.Put(ctx, e) })
}

func (c *cutting) Delete(ctx context.Context, key string) error {
	return c.spend(func() error { return c.Backend.Delete(ctx, key) })
}

const (
	otherKey  = "core/mounts"
	pluginKey = "core/replication/dr/state/x"
)

var (
	testKey = []byte("the root key of before")
	before  = map[string]string{roleKey: "secondary", otherKey: "old"}
	after   = map[string]string{roleKey: "primary", pluginKey: "new"}
	step    = []Row{{roleKey, []byte("primary")}, {otherKey, nil}, {pluginKey, []byte("new")}}
)

const plenty = 1 << 20

func filled(t *testing.T) physical.Backend {
	t.Helper()
	store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	for k, v := range before {
		require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: k, Value: []byte(v)}))
	}
	return store
}

// process is a node on a storage.
func process(t *testing.T, store physical.Backend) *Store {
	t.Helper()
	s := Over(store, true).(*Store)
	s.SetKey(func() ([]byte, error) { return testKey, nil })
	t.Cleanup(s.Close)
	return s
}

// content is what a storage has, by reads or by listing.
func content(t *testing.T, store physical.Backend) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, k := range []string{roleKey, otherKey, pluginKey, vaultname.Keyring, RecordKey, formerKey} {
		e, err := store.Get(context.Background(), k)
		require.NoError(t, err)
		if e != nil {
			out[k] = string(e.Value)
		}
	}
	return out
}

func eachCut(t *testing.T, run func(t *testing.T, at int, lands bool)) {
	t.Helper()
	// One record, three rows, one removal.
	for at := range 6 {
		for _, lands := range []bool{false, true} {
			t.Run(fmt.Sprint(at, lands), func(t *testing.T) {
				t.Parallel()
				run(t, at, lands)
			})
		}
	}
}

// A step may be cut after any number of writes. Either it is there as a whole, or every node reads the state before it
// and the next leader restores that state.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	eachCut(t, func(t *testing.T, at int, lands bool) {
		store := filled(t)
		err := Write(t.Context(), process(t, &cutting{Backend: store, left: at, lands: lands}), step)
		want := before
		switch {
		case at == 5, at == 4 && lands:
			require.NoError(t, err)
			want = after
		default:
			require.ErrorIs(t, err, errCut)
		}
		standby := process(t, store)
		have := content(t, standby)
		delete(have, RecordKey)
		require.Equal(t, want, have, "what a standby sees")
		names, err := standby.List(t.Context(), "core/")
		require.NoError(t, err)
		_, mounts := want[otherKey]
		require.Equal(t, mounts, slices.Contains(names, "mounts"), "what it lists")
		names, err = standby.List(t.Context(), "core/replication/")
		require.NoError(t, err)
		_, plugin := want[pluginKey]
		require.Equal(t, plugin, slices.Contains(names, "dr/"), "what it lists")

		// The next leader may be cut as well.
		for again := range 5 {
			_ = Settle(t.Context(), process(t, &cutting{Backend: store, left: again, lands: lands}))
		}
		require.NoError(t, Settle(t.Context(), process(t, store)))
		require.Equal(t, want, content(t, store))
	})
}

// A write that fails is undone at once, and whatever the process writes later stays.
func TestFailedStepIsUndoneAtOnce(t *testing.T) {
	t.Parallel()
	eachCut(t, func(t *testing.T, at int, lands bool) {
		store := filled(t)
		failing := &once{Backend: store, at: at, lands: lands}
		s := process(t, failing)
		err := Write(t.Context(), s, step)
		want := before
		if at == 5 || at == 4 && lands {
			want = after
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, errCut)
		}
		require.Equal(t, want, content(t, store))
		failing.heal()
		require.NoError(t, s.Put(t.Context(), &physical.Entry{Key: vaultname.Keyring, Value: []byte("rotated")}))
		require.NoError(t, Settle(t.Context(), process(t, store)))
		have := content(t, store)
		require.Equal(t, "rotated", have[vaultname.Keyring])
		require.Equal(t, want[roleKey], have[roleKey])
	})
}

// once fails one write.
type once struct {
	physical.Backend
	mu    sync.Mutex
	at    int
	lands bool
}

func (o *once) heal() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = plenty
}

func (o *once) spend(effect func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at--
	if o.at == -1 {
		if o.lands {
			_ = effect()
		}
		return errCut
	}
	return effect()
}

func (o *once) Put(ctx context.Context, e *physical.Entry) error {
	return o.spend(func() error { return o.Backend.Put(ctx, e) })
}

func (o *once) Delete(ctx context.Context, key string) error {
	return o.spend(func() error { return o.Backend.Delete(ctx, key) })
}

// A step that cannot be undone at once is undone as soon as the storage works, by itself, and before any other write.
func TestFailedStepDoesNotLieInWait(t *testing.T) {
	t.Parallel()
	for _, writes := range []bool{false, true} {
		t.Run(fmt.Sprint(writes), func(t *testing.T) {
			t.Parallel()
			store := filled(t)
			broken := &cutting{Backend: store, left: 2}
			s := process(t, broken)
			require.ErrorIs(t, Write(t.Context(), s, step), errCut)
			require.Equal(t, "secondary", content(t, s)[roleKey], "this process reads what was before")
			require.Error(t, s.Put(t.Context(), &physical.Entry{Key: roleKey, Value: []byte("x")}), "nothing is written upon it")
			require.Error(t, Write(t.Context(), s, step))
			broken.set(plenty)
			if writes {
				require.NoError(t, s.Put(t.Context(), &physical.Entry{Key: vaultname.Keyring, Value: []byte("term 9")}))
			} else {
				require.Eventually(t, func() bool { _, has := content(t, store)[RecordKey]; return !has }, time.Minute,
					time.Millisecond)
			}
			require.NoError(t, Settle(t.Context(), process(t, store)))
			have := content(t, store)
			require.Equal(t, "secondary", have[roleKey])
			if writes {
				require.Equal(t, "term 9", have[vaultname.Keyring])
			}
		})
	}
}

// cut is a storage with a step that was cut after its first row.
func cut(t *testing.T) physical.Backend {
	t.Helper()
	store := filled(t)
	require.ErrorIs(t, Write(t.Context(), process(t, &cutting{Backend: store, left: 2}), step), errCut)
	return store
}

// A record belongs to the state before its step. If the cluster has gone on since, the record is dropped and nothing
// changes.
func TestRecordOfAnotherStateIsDropped(t *testing.T) {
	t.Parallel()
	for _, key := range []string{roleKey, vaultname.Keyring} {
		store := cut(t)
		require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: key, Value: []byte("of a month later")}))
		have := content(t, store)
		require.ErrorIs(t, Settle(t.Context(), process(t, store)), ErrAnotherState)
		delete(have, RecordKey)
		require.Equal(t, have, content(t, store))
	}
}

// A record is settled only if a node with the root key wrote it.
func TestForgedRecordIsRefused(t *testing.T) {
	t.Parallel()
	store := cut(t)
	e, err := store.Get(t.Context(), RecordKey)
	require.NoError(t, err)
	r, err := decode(e.Value)
	require.NoError(t, err)
	for i := range r.Rows {
		r.Rows[i].Before = []byte("forged")
	}
	forged, err := r.encode([]byte("another key"))
	require.NoError(t, err)
	require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: RecordKey, Value: forged}))
	have := content(t, store)
	require.ErrorIs(t, Settle(t.Context(), process(t, store)), errUnproven)
	require.Equal(t, have, content(t, store))

	r.Rows[0].Key = "logical/x/y"
	forged, err = r.encode(testKey)
	require.NoError(t, err)
	require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: RecordKey, Value: forged}))
	require.ErrorIs(t, Settle(t.Context(), process(t, store)), errUnproven, "a key that no step has")
}

// A record of a former version is removed, and its step is not carried out.
func TestRecordOfFormerVersionIsRemoved(t *testing.T) {
	t.Parallel()
	store := filled(t)
	require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: formerKey, Value: []byte("rows")}))
	require.NoError(t, Settle(t.Context(), process(t, store)))
	require.Equal(t, before, content(t, store))
}

// A leader that lost the leadership inside its step stops once the next leader has settled the record.
func TestDeposedLeaderStops(t *testing.T) {
	t.Parallel()
	store := filled(t)
	taken := &hooked{Backend: store}
	taken.after = func(key string) {
		if key == roleKey {
			require.NoError(t, Settle(t.Context(), process(t, store)))
			require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: roleKey, Value: []byte("of the new leader")}))
		}
	}
	require.ErrorContains(t, Write(t.Context(), process(t, taken), step), "another node has taken over")
	require.Equal(t, map[string]string{roleKey: "of the new leader", otherKey: "old"}, content(t, store))
}

type hooked struct {
	physical.Backend
	after func(key string)
}

func (h *hooked) Put(ctx context.Context, e *physical.Entry) error {
	err := h.Backend.Put(ctx, e)
	h.after(e.Key)
	return err
}

func TestTornRecordMeansNotTaken(t *testing.T) {
	t.Parallel()
	r := &record{ID: "x", Rows: []undo{{Key: roleKey, Exists: true, Before: []byte("forged")}}}
	raw, err := r.encode(testKey)
	require.NoError(t, err)
	for n := range raw {
		store := filled(t)
		require.NoError(t, store.Put(t.Context(), &physical.Entry{Key: RecordKey, Value: raw[:n]}))
		require.NoError(t, Settle(t.Context(), process(t, store)))
		require.Equal(t, before, content(t, store))
	}
}

func TestOnlyWhatAChangeOfRoleWrites(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"logical/x/y", "sys/policy/root", RecordKey, formerKey, "core/lock", "wal/logs/1",
		"core/mounts/"} {
		store := filled(t)
		require.Error(t, Write(t.Context(), process(t, store), []Row{{key, []byte("x")}}), key)
		require.Equal(t, before, content(t, store))
	}
}

func TestTransactionalStorageUsesOne(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, err := inmem.NewTransactionalInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	require.Equal(t, store, Over(store, false))
	require.NoError(t, Write(ctx, Over(store, false), step))
	require.NoError(t, Settle(ctx, store))
	require.Equal(t, after, content(t, store))
}

// The checksum would hide the decoder from the fuzzer, so it is put right.
// What a storage has stays readable, and is written as before.
func TestStoredSample(t *testing.T) {
	t.Parallel()
	sample := `{"id":"x","rows":[{"key":"core/keyring","exists":true,"before":"aw==","after":null}],` +
		`"state":[{"key":"core/role","is":"AA=="}]}`
	r, err := decode(sealed(append(make([]byte, headSize), sample...)))
	require.NoError(t, err)
	again, err := r.encode(testKey)
	require.NoError(t, err)
	require.JSONEq(t, sample, string(again[headSize:]))
	for _, bad := range []string{`{"id":"x","later":1}`, sample + "{}"} {
		_, err = decode(sealed(append(make([]byte, headSize), bad...)))
		require.ErrorContains(t, err, "malformed", bad)
	}
}

func FuzzDecode(f *testing.F) {
	r := &record{ID: "x",
		Rows:  []undo{{Key: vaultname.Keyring, Exists: true, Before: []byte("k\x00"), After: printOf(nil)}},
		State: []bound{{roleKey, nil}}}
	raw, err := r.encode(testKey)
	require.NoError(f, err)
	corpus.Add(f, raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headSize {
			return
		}
		b = append(b[:0:0], b...)
		r, err := decode(sealed(b))
		if err != nil {
			return
		}
		again, err := r.encode(testKey)
		require.NoError(t, err)
		same, err := decode(again)
		require.NoError(t, err)
		require.Equal(t, len(r.Rows), len(same.Rows))
	})
}
