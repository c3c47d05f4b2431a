// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A promotion makes the stored index count no more if it changes what that has counted,
// and only then.
func TestPromotionAndTheStoredIndex(t *testing.T) {
	t.Parallel()
	const there, missing = "core/replication/performance/there", "core/replication/performance/missing"
	for name, tc := range map[string]struct {
		row    onestep.Row
		counts bool
	}{
		"its own record":                   {onestep.Row{Key: recordKey, Value: []byte("r")}, true},
		"a replicated row is written":      {onestep.Row{Key: missing, Value: []byte("r")}, false},
		"one is deleted":                   {onestep.Row{Key: there}, false},
		"one is deleted that is not there": {onestep.Row{Key: missing}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			inner, err := inmem.NewTransactionalInmem(nil, hclog.NewNullLogger())
			require.NoError(t, err)
			require.NoError(t, inner.Put(ctx, &physical.Entry{Key: there, Value: []byte("v")}))
			tap := storage.New(inner, storage.Options{})
			require.NoError(t, tap.StartFingerprint(ctx, replication.DR, fingerprint.Key{1}))
			require.Eventually(t, func() bool { f, _ := tap.Fingerprint(replication.DR); return f != nil }, time.Minute, time.Millisecond)
			require.NoError(t, tap.Close(ctx))
			heads, err := tap.StoredIndexes(ctx)
			require.NoError(t, err)
			require.Len(t, heads, 1)

			c := &Controller{tap: tap, store: inner}
			rows := map[string][]byte{tc.row.Key: tc.row.Value}
			require.NoError(t, c.onlyThere(ctx, rows))
			var left []onestep.Row
			for key, value := range rows {
				left = append(left, onestep.Row{Key: key, Value: value})
			}
			require.NoError(t, c.write(ctx, left))
			e, err := inner.Get(ctx, heads[0])
			require.NoError(t, err)
			require.Equal(t, tc.counts, e != nil, "the index that is stored counts")
		})
	}
}
