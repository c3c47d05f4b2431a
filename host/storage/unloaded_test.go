// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
)

// A cluster without some plugin is promoted, and another performance secondary has that plugin. The secondary keeps its
// content of the plugin's mount, whether or not the new primary knows what the plugin declares. The fingerprints of
// both agree.
func TestPromotedWithoutThePlugin(t *testing.T) {
	t.Parallel()
	declared := keyclass.Declared{"ext": {"here/"}}
	for name, tc := range map[string]struct{ knows, copies bool }{
		"it knows what the plugin declares":                {knows: true},
		"it does not know":                                 {},
		"it knows what the plugin declares, and is copied": {knows: true, copies: true},
		"it does not know, and is copied":                  {copies: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			us, eu := newTap(t, newTxn(t)), newTap(t, newTxn(t))
			um, em := withMounts(t, us), withMounts(t, eu)
			followRecord(t, eu, em)
			record, err := declared.Encode()
			require.NoError(t, err)
			for _, tap := range []*storage.Tap{us, eu} {
				for i := range 300 {
					putInner(t, tap.Inner(), key(i), "kv") // a view that no table has
				}
				putInner(t, tap.Inner(), "logical/kv/a", "shared")
				putInner(t, tap.Inner(), "logical/ext/a", "precious")
				putInner(t, tap.Inner(), "logical/ext/b", "precious")
			}
			putInner(t, eu.Inner(), "logical/kv/more", "of a lost tail")
			putInner(t, eu.Inner(), "logical/ext/here/a", "its own")
			putInner(t, eu.Inner(), keyclass.DeclaredKey, string(record))
			em.SetRecorded(declared)
			if tc.knows {
				putInner(t, us.Inner(), keyclass.DeclaredKey, string(record))
				um.SetRecorded(declared)
			}

			require.NoError(t, us.Activate(ctx, config(dr, perf)))
			at, err := us.OpenSlot(ctx, perf, "s")
			require.NoError(t, err)
			require.NoError(t, eu.StartFingerprint(ctx, perf, indexKey))
			fingerprintOf(t, us, perf)
			fingerprintOf(t, eu, perf)
			if tc.copies {
				copyAll(t, us, eu, perf, at)
			} else {
				require.NoError(t, eu.Secondary(perf).BeginCopy(ctx, at, nil))
				require.False(t, compare(t, us, eu, perf, "s", 0).copied)
			}
			require.Equal(t, "<none>", get(t, eu.Inner(), "logical/kv/more"), "the primary lacks it, and knows its mount")
			for key, want := range map[string]string{"logical/ext/a": "precious", "logical/ext/b": "precious",
				"logical/ext/here/a": "its own"} {
				require.Equal(t, want, get(t, eu.Inner(), key))
			}
			requireSame(t, us, eu)
			requireRootOf(t, us, perf)
			requireRootOf(t, eu, perf)

			// The plugin is there now.
			if !tc.knows {
				put(t, us, "logical/ext/a", "new")
				require.NoError(t, us.Reclassify(ctx, um.SetLocalPrefixes("ext", declared["ext"])...))
				put(t, us, keyclass.DeclaredKey, string(record))
				catchUp(t, us, eu)
				require.Equal(t, "new", get(t, eu.Inner(), "logical/ext/a"))
				requireSame(t, us, eu)
				require.Equal(t, "its own", get(t, eu.Inner(), "logical/ext/here/a"))
			}
		})
	}
}

// followRecord makes a secondary classify by the record that arrives, as the host does.
func followRecord(t *testing.T, tap *storage.Tap, m *keyclass.Mounts) {
	t.Helper()
	var changed []string
	tap.BeforeApply(func(_ context.Context, b *txn.Batch) error {
		e, comes := b.Get(keyclass.DeclaredKey)
		if !comes {
			return nil
		}
		var d keyclass.Declared
		if e != nil {
			if err := json.Unmarshal(e.Value, &d); err != nil {
				return err
			}
		}
		changed = append(changed, m.SetRecorded(d)...)
		return nil
	})
	tap.OnApplied(func(ctx context.Context, _ []string) []string {
		if err := tap.Reclassify(ctx, changed...); err != nil {
			t.Error(err)
		}
		changed = nil
		return nil
	})
}
