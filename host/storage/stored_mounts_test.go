// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// fillViews writes keys below the view of a kv, and a few below others.
func fillViews(t testing.TB, inner physical.Backend, keys int) {
	t.Helper()
	for i := range keys {
		putInner(t, inner, fmt.Sprintf("logical/kv/key-%05d", i), "value")
	}
	for _, k := range []string{"logical/lkv/a", "logical/pki/certs/a", "logical/pki/role/a", "sys/token/id/a",
		"sys/policy/a"} {
		putInner(t, inner, k, "value")
	}
}

// After a new mount the head is written anew. If that fails, it is written the next time.
func TestHeadOfTheStoredIndexIsRenewedAgain(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	fillViews(t, f, 100)
	table := []vaultname.Mount{{UUID: "kv", Type: "kv"}, {UUID: "pki", Type: "pki"},
		{UUID: "ext", Type: "ext", External: true}, {UUID: "more", Type: "kv"}}
	tap := newTap(t, f)
	m := withMounts(t, tap)
	require.NoError(t, tap.Activate(testContext(t), config(dr, perf)))
	fingerprintOf(t, tap, perf)
	tap.Indexes().Store(testContext(t))
	require.NoError(t, tap.Reclassify(testContext(t), setTable(t, m, "core/mounts", table...)...))
	f.set(func(keys []string) (bool, error) {
		if strings.HasSuffix(keys[0], "/head") {
			return false, errStorage
		}
		return true, nil
	}, nil)
	tap.Indexes().Store(testContext(t))
	f.set(nil, nil)
	fingerprintOf(t, tap, perf)
	tap.Indexes().Store(testContext(t))
	require.NoError(t, tap.Abandon(testContext(t)))

	tap = newTap(t, f)
	m = withMounts(t, tap)
	setTable(t, m, "core/mounts", table...)
	require.NoError(t, tap.Activate(testContext(t), config(dr, perf)))
	fingerprintOf(t, tap, perf)
	require.Zero(t, tap.Indexes().State(perf).Read)
	requireRootOf(t, tap, perf)
}

// The index of performance mode is there after a restart too, if the same keys of mounts still count.
func TestPerformanceIndexIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	kv := vaultname.Mount{UUID: "kv", Type: "kv"}
	pki := vaultname.Mount{UUID: "pki", Type: "pki"}
	ext := vaultname.Mount{UUID: "ext", Type: "ext", External: true}
	more := vaultname.Mount{UUID: "more", Type: "kv"}
	for name, tt := range map[string]struct {
		// change is done while the index is kept, and ends it.
		change func(t *testing.T, tap *storage.Tap, m *keyclass.Mounts)
		// differs changes what is known of the mounts at the next start.
		differs func(t *testing.T, m *keyclass.Mounts)
		there   bool
	}{
		"nothing has changed": {there: true},
		"after a crash": {there: true, change: func(t *testing.T, tap *storage.Tap, _ *keyclass.Mounts) {
			tap.Indexes().Store(testContext(t))
			require.NoError(t, tap.Abandon(testContext(t)))
		}},
		"a mount has come, without keys": {there: true,
			change: func(t *testing.T, tap *storage.Tap, m *keyclass.Mounts) {
				tap.Indexes().Store(testContext(t))
				require.NoError(t, tap.Reclassify(testContext(t), setTable(t, m, "core/mounts", kv, pki, ext, more)...))
				tap.Indexes().Store(testContext(t))
				require.NoError(t, tap.Abandon(testContext(t)))
			},
			differs: func(t *testing.T, m *keyclass.Mounts) { setTable(t, m, "core/mounts", kv, pki, ext, more) },
		},
		"a mount has come, and a crash before it was settled": {
			change: func(t *testing.T, tap *storage.Tap, m *keyclass.Mounts) {
				setTable(t, m, "core/mounts", kv, pki, ext, more)
				tap.Indexes().Store(testContext(t))
				require.NoError(t, tap.Abandon(testContext(t)))
			},
			differs: func(t *testing.T, m *keyclass.Mounts) { setTable(t, m, "core/mounts", kv, pki, ext, more) },
		},
		"a mount with keys has become known": {
			change: func(t *testing.T, tap *storage.Tap, m *keyclass.Mounts) {
				put(t, tap, "logical/ext/local/a", "value")
				put(t, tap, "logical/ext/b", "value")
				tap.Indexes().Store(testContext(t))
				require.NoError(t, tap.Reclassify(testContext(t), m.SetLocalPrefixes("ext", []string{"local/"})...))
				require.NoError(t, tap.Abandon(testContext(t)))
			},
			differs: func(_ *testing.T, m *keyclass.Mounts) { m.SetLocalPrefixes("ext", []string{"local/"}) },
		},
		"other prefixes are local": {differs: func(_ *testing.T, m *keyclass.Mounts) {
			m.SetLocalPrefixes("kv",
				[]string{"key-0000"})
		}},
		"what one declares is known": {differs: func(_ *testing.T,
			m *keyclass.Mounts) {
			m.SetRecorded(keyclass.Declared{"ext": nil})
		}},
		"a mount is local now": {differs: func(t *testing.T, m *keyclass.Mounts) {
			setTable(t, m, "core/local-mounts",
				kv)
		}},
		"a mount has gone meanwhile": {differs: func(t *testing.T, m *keyclass.Mounts) {
			setTable(t, m, "core/mounts", pki,
				ext)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := newTxn(t)
			fillViews(t, inner, manyKeys)
			tap := newTap(t, inner)
			m := withMounts(t, tap)
			require.NoError(t, tap.Activate(testContext(t), config(dr, perf)))
			was := fingerprintOf(t, tap, perf)
			fingerprintOf(t, tap, dr)
			if tt.change != nil {
				tt.change(t, tap, m)
			}
			require.NoError(t, tap.Close(testContext(t)))

			tap = newTap(t, inner)
			m = withMounts(t, tap)
			if tt.differs != nil {
				tt.differs(t, m)
			}
			require.NoError(t, tap.Activate(testContext(t), config(dr, perf)))
			now := fingerprintOf(t, tap, perf)
			fingerprintOf(t, tap, dr)
			require.Zero(t, tap.Indexes().State(dr).Read, "what counts for DR is the same")
			if tt.there {
				require.Zero(t, tap.Indexes().State(perf).Read)
				require.Equal(t, was, now)
			} else {
				require.Positive(t, tap.Indexes().State(perf).Read)
			}
			requireRootOf(t, tap, perf)
		})
	}
}
