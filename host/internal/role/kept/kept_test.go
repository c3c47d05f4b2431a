// SPDX-License-Identifier: MPL-2.0

package kept_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/role/kept"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// barrier keeps records in clear.
type barrier struct{ inner physical.Backend }

func (b barrier) GetEntry(ctx context.Context, key string) ([]byte, error) {
	e, err := b.inner.Get(ctx, key)
	if e == nil {
		return nil, err
	}
	return e.Value, err
}

func (b barrier) PutEntry(ctx context.Context, key string, value []byte) error {
	return b.inner.Put(ctx, &physical.Entry{Key: key, Value: value})
}

func (b barrier) DeleteEntry(ctx context.Context, key string) error { return b.inner.Delete(ctx, key) }

func (b barrier) ListEntries(ctx context.Context, prefix string) ([]string, error) {
	return b.inner.List(ctx, prefix)
}

// failing refuses writes after a number of them.
type failing struct {
	physical.Backend
	left int
}

func (f *failing) Put(ctx context.Context, e *physical.Entry) error {
	if f.left--; f.left < 0 {
		return errors.New("no space left on device")
	}
	return f.Backend.Put(ctx, e)
}

func book(t *testing.T) kept.Book {
	t.Helper()
	store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	behind, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return kept.Book{Barrier: barrier{behind}, Store: store}
}

func value(n int) endpoints.KeptValue {
	return endpoints.KeptValue{Key: fmt.Appendf(nil, "logical/u/%d", n), Place: "secret/",
		Value: bytes.Repeat([]byte{byte(n)}, 100_000)}
}

func write(t *testing.T, b kept.Book, id string, values int) error {
	t.Helper()
	w, err := b.Write(t.Context(), endpoints.KeptFile{ID: id, Mode: replication.DR, Exact: true})
	require.NoError(t, err)
	for n := range values {
		if err := w.Add(value(n)); err != nil {
			require.NoError(t, w.Drop())
			return err
		}
	}
	f, err := w.Close()
	if err == nil {
		require.Equal(t, values, f.Values)
	}
	return err
}

func TestWhatIsKeptIsReadUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := book(t)
	require.NoError(t, write(t, b, "dr-1", 7))
	require.NoError(t, write(t, b, "dr-2", 0))
	files, err := b.List(ctx)
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, []endpoints.KeptPlace{{Place: "secret/", Values: 7}}, files[0].Places)

	all, err := b.Read(ctx, "dr-1", 0, 100)
	require.NoError(t, err)
	require.Len(t, all, 7)
	for n, v := range all {
		require.Equal(t, value(n), v)
	}
	some, err := b.Read(ctx, "dr-1", 5, 1)
	require.NoError(t, err)
	require.Equal(t, []endpoints.KeptValue{value(5)}, some)

	require.NoError(t, b.Remove(ctx, "dr-1"))
	left, err := records.Stored(ctx, b.Store, "")
	require.NoError(t, err)
	require.Empty(t, left)
	for _, id := range []string{"dr-1", "", "../role", "dr-2/"} {
		_, err = b.Read(ctx, id, 0, 1)
		require.Equal(t, replication.NotFound, replication.KindOf(err), id)
		require.Equal(t, replication.NotFound, replication.KindOf(b.Remove(ctx, id)), id)
	}
}

// Nothing is stored in clear. Pieces that were changed or moved in storage are refused.
func TestPiecesAreSealed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := book(t)
	require.NoError(t, write(t, b, "dr-1", 7))
	require.NoError(t, write(t, b, "dr-2", 7))
	keys, err := records.Stored(ctx, b.Store, "")
	require.NoError(t, err)
	require.Greater(t, len(keys), 6)
	for _, key := range keys {
		e, err := b.Store.Get(ctx, key)
		require.NoError(t, err)
		require.NotContains(t, string(e.Value), "secret/")
		require.NotContains(t, string(e.Value), "AAAAAAAA")
		e.Key = keys[0]
		require.NoError(t, b.Store.Put(ctx, e))
		if key != keys[0] {
			break
		}
	}
	_, err = b.Read(ctx, "dr-1", 0, 1)
	require.ErrorContains(t, err, `a piece of the kept values "dr-1" was changed in storage`)
	require.NoError(t, b.Store.Delete(ctx, keys[0]))
	_, err = b.Read(ctx, "dr-1", 0, 1)
	require.ErrorContains(t, err, `a piece of the kept values "dr-1" is missing in storage`)
}

// Wherever storage refuses or the process ends, there is a whole file or none. The next attempt makes it.
func TestAFileIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	for cut := 0; ; cut++ {
		b := book(t)
		inner := b.Store
		b.Store = &failing{Backend: inner, left: cut}
		w, err := b.Write(t.Context(), endpoints.KeptFile{ID: "dr-1"})
		require.NoError(t, err)
		for n := 0; n < 7 && err == nil; n++ {
			err = w.Add(value(n))
		}
		if err == nil {
			_, err = w.Close()
		}
		files, lerr := b.List(t.Context())
		require.NoError(t, lerr)
		if err == nil {
			require.Len(t, files, 1)
			require.Greater(t, cut, 5)
			return
		}
		require.Equal(t, replication.StorageFailed, replication.KindOf(err))
		require.Empty(t, files)
		// Not dropped, as after a crash.
		b.Store = inner
		require.NoError(t, write(t, b, "dr-1", 2))
		keys, err := records.Stored(t.Context(), inner, "")
		require.NoError(t, err)
		require.LessOrEqual(t, len(keys), 3, strings.Join(keys, " "))
		all, err := b.Read(t.Context(), "dr-1", 0, 10)
		require.NoError(t, err)
		require.Len(t, all, 2)
	}
}

// A page has a bound in bytes too, and the next page goes on where it ends.
func TestAPageEndsWhenItIsFull(t *testing.T) {
	t.Parallel()
	b := book(t)
	require.NoError(t, write(t, b, "dr-1", 200))
	var pages []int
	for read := 0; read < 200; {
		page, err := b.Read(t.Context(), "dr-1", read, 1000)
		require.NoError(t, err)
		require.Equal(t, value(read), page[0])
		read += len(page)
		pages = append(pages, len(page))
	}
	require.Equal(t, []int{84, 84, 32}, pages)
}

// The record of a file is a row that every storage takes, however many places there are.
func TestTheRecordOfManyPlaces(t *testing.T) {
	t.Parallel()
	b := book(t)
	w, err := b.Write(t.Context(), endpoints.KeptFile{ID: "dr-1"})
	require.NoError(t, err)
	for n := range 3000 {
		require.NoError(t, w.Add(endpoints.KeptValue{Place: fmt.Sprintf("%s%d/", strings.Repeat("<", 200), n)}))
	}
	f, err := w.Close()
	require.NoError(t, err)
	require.Equal(t, 3000, f.Values)
	last := f.Places[len(f.Places)-1]
	require.Equal(t, endpoints.KeptPlace{Place: "other places", Values: 3001 - len(f.Places)}, last)
	record, err := b.Barrier.GetEntry(t.Context(), kept.Prefix+"dr-1")
	require.NoError(t, err)
	require.Less(t, len(record), 256<<10)
}
