// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
)

// sized remembers how large the transactions were, and refuses those above a size.
type sized struct {
	physical.TransactionalBackend
	most int

	mu    sync.Mutex
	taken []int
}

func (s *sized) Transaction(ctx context.Context, txn []*physical.TxnEntry) error {
	size := 0
	for _, e := range txn {
		size += len(e.Entry.Key) + len(e.Entry.Value)
	}
	if s.most > 0 && size > s.most {
		return fmt.Errorf("%s; got %d bytes, max: %d bytes", physical.ErrValueTooLarge, size, s.most)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, size)
	return s.TransactionalBackend.Transaction(ctx, txn)
}

func (s *sized) largest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	largest := 0
	for _, n := range s.taken {
		largest = max(largest, n)
	}
	return largest
}

// Rows are applied in transactions of ApplyBytes. If the storage refuses those, its own limits hold.
func TestApplyBytes(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]int{"taken": 0, "refused": 200 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			primary := newPrimary(t, newTxn(t))
			inner := &sized{TransactionalBackend: newTxn(t).(physical.TransactionalBackend), most: most}
			secondary := newTap(t, inner, func(o *storage.Options) {
				o.Limits = func() (int, int) { return 4096, 128 << 10 }
				o.ApplyBytes = 448 << 10
			})
			at, err := primary.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			copyAll(t, primary, secondary, dr, at)
			for i := range 60 {
				put(t, primary, key(i), strings.Repeat("x", 10<<10))
			}
			r, err := primary.ReadJournal(ctx, dr, "s", at)
			require.NoError(t, err)
			defer r.Close()
			f, err := r.Next()
			require.NoError(t, err)
			require.Greater(t, len(f.Payload), 500<<10, "one frame has all")

			_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
			require.NoError(t, err)
			require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
			if most > 0 {
				require.LessOrEqual(t, inner.largest(), 128<<10)
			} else {
				require.Greater(t, inner.largest(), 256<<10)
				require.LessOrEqual(t, inner.largest(), 448<<10)
			}
		})
	}
}
