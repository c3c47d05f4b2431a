// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"
)

// cutting fails every write after a number of them, as a crash does.
type cutting struct {
	physical.Backend
	left int
}

var errCut = errors.New("cut")

func (c *cutting) spend() error {
	if c.left == 0 {
		return errCut
	}
	c.left--
	return nil
}

func (c *cutting) Put(ctx context.Context, e *physical.Entry) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Backend.Put(ctx, e)
}

func (c *cutting) Delete(ctx context.Context, key string) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Backend.Delete(ctx, key)
}

func content(t *testing.T, store physical.Backend, keys ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, k := range keys {
		e, err := store.Get(context.Background(), k)
		require.NoError(t, err)
		if e != nil {
			out[k] = string(e.Value)
		}
	}
	return out
}

// A step that is cut after any number of writes is, after the next start, the
// old content or the new one.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rows := []Row{{"a", []byte("new")}, {"b", nil}, {"c", []byte("new")}}
	before := map[string]string{"a": "old", "b": "old"}
	after := map[string]string{"a": "new", "c": "new"}
	// One redo record, three rows, one removal.
	for cut := 0; cut <= 5; cut++ {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
			require.NoError(t, err)
			for k, v := range before {
				require.NoError(t, store.Put(ctx, &physical.Entry{Key: k, Value: []byte(v)}))
			}
			err = Write(ctx, &cutting{store, cut}, rows)
			if cut < 5 {
				require.ErrorIs(t, err, errCut)
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, Redo(ctx, store))
			want := after
			if cut == 0 {
				want = before
			}
			require.Equal(t, want, content(t, store, "a", "b", "c", RedoKey))
		})
	}
}

func TestTornRedoRecordMeansNotTaken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	record, err := encode([]Row{{"a", []byte("new")}})
	require.NoError(t, err)
	for n := range record {
		store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
		require.NoError(t, err)
		require.NoError(t, store.Put(ctx, &physical.Entry{Key: RedoKey, Value: record[:n]}))
		require.NoError(t, Redo(ctx, store))
		require.Empty(t, content(t, store, "a", RedoKey))
	}
}

func TestTransactionalStorageUsesOne(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store, err := inmem.NewTransactionalInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	require.NoError(t, Write(ctx, store, []Row{{"a", []byte("new")}, {"b", nil}}))
	require.Equal(t, map[string]string{"a": "new"}, content(t, store, "a", "b", RedoKey))
}
