// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/host/storage/wholefile"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	waitMax = 30 * time.Second
	tick    = time.Millisecond
)

var (
	emptyRange = journal.EncodeRange(nil)

	epoch    = replication.Epoch{Generation: 1, ID: "e1"}
	indexKey = fingerprint.Key{1, 2, 3}
)

// backends are the kinds of storage that every test of storage behaviour runs on.
func backends(t *testing.T, f func(t *testing.T, inner physical.Backend)) {
	t.Helper()
	for name, make := range map[string]func(testing.TB) physical.Backend{
		"transactional": newTxn, "inmem": newInmem, "file": newFile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, make(t))
		})
	}
}

func newTxn(t testing.TB) physical.Backend {
	b, err := inmem.NewTransactionalInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return b
}

func newInmem(t testing.TB) physical.Backend {
	b, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return withSteps(t, b)
}

func newFile(t testing.TB) physical.Backend {
	dir := t.TempDir()
	b, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	require.NoError(t, err)
	whole, err := wholefile.Over(b.(*file.FileBackend), dir, true)
	require.NoError(t, err)
	return withSteps(t, whole)
}

// withSteps is a storage in which a change of role can be written.
func withSteps(t testing.TB, store physical.Backend) physical.Backend {
	over := onestep.Over(store, false)
	if s, ok := over.(*onestep.Store); ok {
		s.SetKey(func() ([]byte, error) { return []byte("a key of the test"), nil })
		t.Cleanup(s.Close)
	}
	return over
}

// testContext has a timeout, so that a test that waits for ever fails with a clear error.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newTap(t testing.TB, inner physical.Backend, change ...func(*storage.Options)) *storage.Tap {
	// Storage in memory can list any prefix, but the tests also need one that cannot, as other storage.
	_, transactional := inner.(physical.Transactional)
	o := storage.Options{AnyPrefix: transactional, Fenced: transactional}
	for _, f := range change {
		f(&o)
	}
	tap := storage.New(inner, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = tap.Close(ctx)
	})
	return tap
}

func config(modes ...replication.Mode) primary.Config {
	c := primary.Config{Modes: map[replication.Mode]primary.ModeConfig{}}
	for _, m := range modes {
		c.Modes[m] = primary.ModeConfig{Epoch: epoch, IndexKey: indexKey}
	}
	return c
}

// newPrimary is an active tap of a DR primary.
func newPrimary(t testing.TB, inner physical.Backend, change ...func(*storage.Options)) *storage.Tap {
	tap := newTap(t, inner, change...)
	require.NoError(t, tap.Activate(testContext(t), config(replication.DR)))
	return tap
}

func setTable(t testing.TB, m *keyclass.Mounts, table string, mounts ...vaultname.Mount) []string {
	t.Helper()
	changed, err := m.SetTable(table, mounts)
	require.NoError(t, err)
	return changed
}

func put(t testing.TB, tap *storage.Tap, key, value string) {
	t.Helper()
	require.NoError(t, tap.Backend().Put(testContext(t), &physical.Entry{Key: key, Value: []byte(value)}))
}

func del(t testing.TB, tap *storage.Tap, key string) {
	t.Helper()
	require.NoError(t, tap.Backend().Delete(testContext(t), key))
}

func get(t testing.TB, b physical.Backend, key string) string {
	t.Helper()
	e, err := b.Get(testContext(t), key)
	require.NoError(t, err)
	if e == nil {
		return "<none>"
	}
	return string(e.Value)
}

// content is everything that is replicated in a mode.
func content(t testing.TB, tap *storage.Tap, mode replication.Mode) map[string]string {
	t.Helper()
	out := map[string]string{}
	var visit func(prefix string)
	visit = func(prefix string) {
		names, err := tap.Inner().List(testContext(t), prefix)
		require.NoError(t, err)
		for _, n := range names {
			key := prefix + n
			if strings.HasSuffix(n, "/") {
				visit(key)
			} else if tap.Classes().Replicated(mode, key) {
				out[key] = get(t, tap.Inner(), key)
			}
		}
	}
	visit("")
	return out
}

// rowsStored counts journal rows in the storage.
func rowsStored(t testing.TB, b physical.Backend) int {
	t.Helper()
	n := 0
	terms, err := b.List(testContext(t), "wal/logs/")
	require.NoError(t, err)
	for _, term := range terms {
		rows, err := b.List(testContext(t), "wal/logs/"+term)
		require.NoError(t, err)
		n += len(rows)
	}
	return n
}

// copyAll copies a primary's content to a secondary and follows to the position
// that the primary has after the copy.
func copyAll(t testing.TB, primary, secondary *storage.Tap, mode replication.Mode,
	from replication.Position) *replication.Cursor {
	t.Helper()
	ctx := testContext(t)
	require.NoError(t, secondary.Secondary(mode).BeginCopy(ctx, from, nil))
	after := ""
	for {
		rng, err := primary.ReadRange(ctx, mode, "", after)
		require.NoError(t, err)
		_, err = secondary.Secondary(mode).ApplyRange(ctx, rng)
		require.NoError(t, err)
		if rng.Last {
			break
		}
		after = rng.UpTo
	}
	c, err := secondary.Secondary(mode).EndCopy(ctx)
	require.NoError(t, err)
	return c
}

// follow applies frames until the secondary has reached a sequence.
func follow(t testing.TB, primary, secondary *storage.Tap, mode replication.Mode, slot string,
	to uint64) *replication.Cursor {
	t.Helper()
	ctx := testContext(t)
	c, err := secondary.Secondary(mode).Cursor(ctx)
	require.NoError(t, err)
	if c.Position.Sequence >= to {
		return c
	}
	r, err := primary.ReadJournal(ctx, mode, slot, c.Position)
	require.NoError(t, err)
	defer r.Close()
	for c.Position.Sequence < to {
		f, err := r.Next()
		require.NoError(t, err)
		c, err = secondary.Secondary(mode).ApplyFrame(ctx, f)
		require.NoError(t, err)
	}
	return c
}

func watermark(t testing.TB, tap *storage.Tap) replication.Position {
	t.Helper()
	p, err := tap.Position(replication.DR)
	require.NoError(t, err)
	return p.Position
}

// fingerprintOf waits until it is known.
func fingerprintOf(t testing.TB, tap *storage.Tap, mode replication.Mode) string {
	t.Helper()
	var f replication.Fingerprint
	require.Eventually(t, func() bool { f, _ = tap.Indexes().Fingerprint(mode); return f != nil }, 30*time.Second,
		time.Millisecond)
	return f.String()
}

var errStorage = errors.New("storage is out of order")

// faulty is storage that fails on demand; it is transactional.
type faulty struct {
	physical.TransactionalBackend
	mu sync.Mutex
	// write is called before each write with its keys. It may wait. When landed is true the write is made, whatever the
	// error.
	write func(keys []string) (landed bool, err error)
	// read is called before each Get.
	read func(key string) error
	// list is called before each List. It may wait.
	list func(prefix string)
	// caught gets the transactions that were not made.
	caught func([]*physical.TxnEntry)
}

func newFaulty(t testing.TB) *faulty {
	return &faulty{TransactionalBackend: newTxn(t).(physical.TransactionalBackend)}
}

func (f *faulty) set(write func([]string) (bool, error), read func(string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.write, f.read = write, read
}

func (f *faulty) do(keys []string, write func() error) error {
	f.mu.Lock()
	ask := f.write
	f.mu.Unlock()
	if ask == nil {
		return write()
	}
	landed, err := ask(keys)
	if landed || err == nil {
		if werr := write(); werr != nil {
			return werr
		}
	}
	return err
}

func (f *faulty) Put(ctx context.Context, e *physical.Entry) error {
	return f.do([]string{e.Key}, func() error { return f.TransactionalBackend.Put(ctx, e) })
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	return f.do([]string{key}, func() error { return f.TransactionalBackend.Delete(ctx, key) })
}

func (f *faulty) Transaction(ctx context.Context, txn []*physical.TxnEntry) error {
	var keys []string
	for _, e := range txn {
		keys = append(keys, e.Entry.Key)
	}
	made := false
	err := f.do(keys, func() error { made = true; return f.TransactionalBackend.Transaction(ctx, txn) })
	if !made && f.caught != nil {
		f.caught(txn)
	}
	return err
}

func (f *faulty) Get(ctx context.Context, key string) (*physical.Entry, error) {
	f.mu.Lock()
	ask := f.read
	f.mu.Unlock()
	if ask != nil {
		if err := ask(key); err != nil {
			return nil, err
		}
	}
	return f.TransactionalBackend.Get(ctx, key)
}

func (f *faulty) List(ctx context.Context, prefix string) ([]string, error) {
	f.mu.Lock()
	ask := f.list
	f.mu.Unlock()
	if ask != nil {
		ask(prefix)
	}
	return f.TransactionalBackend.List(ctx, prefix)
}

// failWritesOf fails writes of one key.
func failWritesOf(key string, landed bool) func([]string) (bool, error) {
	return func(keys []string) (bool, error) {
		for _, k := range keys {
			if k == key {
				return landed, errStorage
			}
		}
		return true, nil
	}
}

func key(i int) string { return fmt.Sprintf("logical/uuid/key-%05d", i) }
