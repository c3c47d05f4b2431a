// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// manyKeys make several blocks of the index.
const manyKeys = 9_500

// gated is storage whose content cannot be read until it is opened. It counts the reads.
type gated struct {
	physical.TransactionalBackend
	open  chan struct{}
	reads atomic.Int64
}

func gate(b physical.Backend) *gated {
	return &gated{TransactionalBackend: b.(physical.TransactionalBackend), open: make(chan struct{})}
}

func (g *gated) Get(ctx context.Context, key string) (*physical.Entry, error) {
	if strings.HasPrefix(key, "logical/") {
		g.reads.Add(1)
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return g.TransactionalBackend.Get(ctx, key)
}

func fillInner(t testing.TB, b physical.Backend, keys int) {
	t.Helper()
	for i := range keys {
		putInner(t, b, key(i), "value")
	}
}

// storedRows are those of the index.
func storedRows(t testing.TB, b physical.Backend) map[string]string {
	t.Helper()
	rows := map[string]string{}
	homes, err := b.List(testContext(t), "index-dr/pages/")
	require.NoError(t, err)
	for _, home := range homes {
		names, err := b.List(testContext(t), "index-dr/pages/"+home)
		require.NoError(t, err)
		for _, name := range names {
			rows[home+name] = get(t, b, "index-dr/pages/"+home+name)
		}
	}
	return rows
}

// requireRoot compares the fingerprint with that of the content.
func requireRoot(t testing.TB, tap *storage.Tap) {
	t.Helper()
	requireRootOf(t, tap, dr)
}

func requireRootOf(t testing.TB, tap *storage.Tap, mode replication.Mode) {
	t.Helper()
	h := fingerprint.NewHasher(indexKey)
	var sum fingerprint.Sum
	all := content(t, tap, mode)
	for k, v := range all {
		sum.Add(h.Element(k, []byte(v)))
	}
	got, n := tap.Indexes().Fingerprint(mode)
	require.Equal(t, uint64(len(all)), n)
	require.Equal(t, h.Root(sum, n), []byte(got))
}

// After a clean end the index is there before the content is read. Then it is compared with the content.
func TestIndexIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	inner := newTxn(t)
	fillInner(t, inner, manyKeys)
	tap := newPrimary(t, inner)
	was := fingerprintOf(t, tap, dr)
	require.NoError(t, tap.Close(testContext(t)))
	rows := storedRows(t, inner)
	require.GreaterOrEqual(t, len(rows), 3)
	for name, row := range rows {
		require.Less(t, len(row), 4<<10, name)
	}

	closed := gate(inner)
	tap = newPrimary(t, closed)
	require.Equal(t, was, fingerprintOf(t, tap, dr))
	require.Zero(t, tap.Indexes().State(dr).Read)
	require.True(t, tap.Indexes().State(dr).Checked.IsZero())
	close(closed.open)
	checked(t, tap)
	require.False(t, tap.Indexes().State(dr).Wrong)
	require.Equal(t, was, fingerprintOf(t, tap, dr))
}

// Changes past the server while it was down are found, and the callback is told.
func TestChangePastTheServerIsTold(t *testing.T) {
	t.Parallel()
	inner := newTxn(t)
	fillInner(t, inner, 100)
	tap := newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	require.NoError(t, tap.Close(testContext(t)))
	for _, changed := range []bool{true, false} {
		if changed {
			putInner(t, inner, key(7), "changed past it")
		}
		var told atomic.Int64
		tap = newTap(t, inner)
		tap.OnWrongIndex(func(mode replication.Mode) {
			if mode == dr {
				told.Add(1)
			}
		})
		require.NoError(t, tap.StartFingerprint(testContext(t), dr, indexKey))
		checked(t, tap)
		require.NoError(t, tap.Close(testContext(t)))
		require.Equal(t, changed, told.Load() == 1)
	}
}

// If a part of the index was not stored, nobody knows whether that part of the storage was changed while no server ran.
// The observer is told so, once in a process.
func TestPartThatNobodyKnowsIsTold(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		leave func(t *testing.T, inner physical.Backend, tap *storage.Tap)
		told  int64
	}{
		"all is stored": {func(t *testing.T, _ physical.Backend, tap *storage.Tap) {
			require.NoError(t, tap.Close(testContext(t)))
		}, 0},
		"a part is stored": {func(t *testing.T, _ physical.Backend, tap *storage.Tap) {
			tap.Indexes().Store(testContext(t))
			put(t, tap, key(3), "written")
			require.NoError(t, tap.Abandon(testContext(t)))
		}, 1},
		"nothing is stored": {func(t *testing.T, _ physical.Backend, tap *storage.Tap) {
			require.NoError(t, tap.Abandon(testContext(t)))
		}, 1},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			inner := newTxn(t)
			fillInner(t, inner, manyKeys)
			tap := newTap(t, inner, func(o *storage.Options) { o.StoreAfter = time.Hour })
			require.NoError(t, tap.StartFingerprint(testContext(t), dr, indexKey))
			fingerprintOf(t, tap, dr)
			c.leave(t, inner, tap)

			var told atomic.Int64
			tap = newTap(t, inner, func(o *storage.Options) { o.StoreAfter = time.Hour })
			tap.OnUnseenIndex(func(replication.Mode) { told.Add(1) })
			for range 2 {
				require.NoError(t, tap.StartFingerprint(testContext(t), dr, indexKey))
				checked(t, tap)
				require.NoError(t, tap.Abandon(testContext(t)))
			}
			require.Equal(t, c.told, told.Load())
		})
	}
}

// After a crash the keys that were written since the index was stored are read, and little else.
func TestIndexAfterACrash(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(testing.TB) physical.Backend{"transactional": newTxn, "inmem": newInmem} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crashed(t, make(t))
		})
	}
}

func crashed(t *testing.T, inner physical.Backend) {
	fillInner(t, inner, manyKeys)
	tap := newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	tap.Indexes().Store(testContext(t))
	stored := storedRows(t, inner)
	put(t, tap, key(3), "changed")
	put(t, tap, key(4), "changed")
	del(t, tap, key(5))
	put(t, tap, key(4)+"-new", "made")
	require.Len(t, storedRows(t, inner), len(stored)-1, "its block is not stored any more, and the others are")
	require.NoError(t, tap.Abandon(testContext(t)))

	tap = newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	requireRoot(t, tap)
	read := tap.Indexes().State(dr).Read
	require.Positive(t, read)
	require.Less(t, read, uint64(manyKeys*3/4))
	checked(t, tap)
	require.False(t, tap.Indexes().State(dr).Wrong)

	// What is at rest is stored again.
	require.NoError(t, tap.Close(testContext(t)))
	tap = newTap(t, inner, func(o *storage.Options) { o.StoreAfter = time.Millisecond })
	require.NoError(t, tap.StartFingerprint(testContext(t), dr, indexKey))
	fingerprintOf(t, tap, dr)
	put(t, tap, key(9), "changed")
	require.Eventually(t, func() bool { return len(storedRows(t, inner)) == len(stored) }, waitMax, tick)
	require.NoError(t, tap.Abandon(testContext(t)))
	tap = newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	requireRoot(t, tap)
	require.Zero(t, tap.Indexes().State(dr).Read)
}

// A stored index that cannot or must not be used is ignored: all content is read.
func TestStoredIndexThatDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, b physical.Backend, tap *storage.Tap){
		"a row of another place": func(t *testing.T, b physical.Backend, _ *storage.Tap) {
			var names []string
			for name := range storedRows(t, b) {
				if !strings.HasSuffix(name, "/head") {
					names = append(names, "index-dr/pages/"+name)
				}
			}
			putInner(t, b, names[0], get(t, b, names[1]))
		},
		"a row that is cut": func(t *testing.T, b physical.Backend, _ *storage.Tap) {
			for name, row := range storedRows(t, b) {
				putInner(t, b, "index-dr/pages/"+name, row[:len(row)-1])
			}
		},
		"its head is gone, as after a change of role": func(t *testing.T, b physical.Backend, tap *storage.Tap) {
			rows, err := tap.StoredIndexes(t.Context())
			require.NoError(t, err)
			require.Len(t, rows, 1)
			require.NoError(t, b.Delete(t.Context(), rows[0]))
		},
		"two of them": func(t *testing.T, b physical.Backend, _ *storage.Tap) {
			for name, row := range storedRows(t, b) {
				_, name, _ := strings.Cut(name, "/")
				putInner(t, b, "index-dr/pages/0123/"+name, row)
			}
		},
		"what a deposed leader wrote": func(t *testing.T, _ physical.Backend, tap *storage.Tap) {
			require.NoError(t, tap.StartFingerprint(t.Context(), dr, indexKey))
			fingerprintOf(t, tap, dr)
			require.NoError(t, tap.LoseIndexes(t.Context()))
			require.NoError(t, tap.Abandon(t.Context()))
		},
		"views are deleted while nobody counts": func(t *testing.T, b physical.Backend, tap *storage.Tap) {
			putInner(t, b, "logical/other/a", "x")
			_, err := tap.ClearView(t.Context(), "logical/other/")
			require.NoError(t, err)
		},
		"a key is written before the term begins": func(t *testing.T, _ physical.Backend, tap *storage.Tap) {
			put(t, tap, "core/keyring", "of another seal")
			del(t, tap, "core/keyring")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := newTxn(t)
			fillInner(t, inner, manyKeys)
			putInner(t, inner, "core/mounts", "x")
			tap := newPrimary(t, inner)
			fingerprintOf(t, tap, dr)
			require.NoError(t, tap.Close(testContext(t)))
			spoil(t, inner, newTap(t, inner))
			putInner(t, inner, key(5), "changed below")

			tap = newPrimary(t, inner)
			fingerprintOf(t, tap, dr)
			requireRoot(t, tap)
			require.Equal(t, uint64(manyKeys+1), tap.Indexes().State(dr).Read)
			require.NoError(t, tap.Close(testContext(t)))
			tap = newPrimary(t, inner)
			fingerprintOf(t, tap, dr)
			require.Zero(t, tap.Indexes().State(dr).Read, "it was stored anew")
		})
	}
}

// A node that does not lead any more, or may not write, stores nothing.
func TestDeposedNodeStoresNothing(t *testing.T) {
	t.Parallel()
	for name, depose := range map[string]func(t *testing.T, b physical.Backend, tap *storage.Tap){
		"another one has taken over": func(t *testing.T, b physical.Backend, _ *storage.Tap) {
			require.NoError(t, newTap(t, b).StartFingerprint(t.Context(), dr, indexKey))
		},
		"it rests": func(t *testing.T, _ physical.Backend, tap *storage.Tap) { tap.Rest(t.Context()) },
		"it gave up": func(t *testing.T, _ physical.Backend,
			tap *storage.Tap) {
			require.NoError(t, tap.Abandon(t.Context()))
		},
		"a copy goes on": func(t *testing.T, _ physical.Backend, tap *storage.Tap) {
			require.NoError(t, tap.Secondary(dr).BeginCopy(t.Context(), replication.Position{Epoch: epoch, Sequence: 3}, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := newTxn(t)
			fillInner(t, inner, 100)
			tap := newTap(t, inner)
			require.NoError(t, tap.StartFingerprint(testContext(t), dr, indexKey))
			fingerprintOf(t, tap, dr)
			tap.Indexes().Store(testContext(t))
			require.Len(t, storedRows(t, inner), 2)
			put(t, tap, key(3), "changed")
			depose(t, inner, tap)
			was := storedRows(t, inner)
			require.Len(t, was, 1, "the head alone")
			tap.Indexes().Store(testContext(t))
			if name != "a copy goes on" {
				_ = tap.Close(testContext(t))
			}
			require.True(t, maps.Equal(was, storedRows(t, inner)))
		})
	}
}

// Writes go on while the index is stored again and again. The stored rows are right at every end.
func TestStoringBesideWrites(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		fillInner(t, inner, 300)
		for round := range 3 {
			tap := newTap(t, inner, func(o *storage.Options) { o.StoreAfter = time.Millisecond })
			require.NoError(t, tap.Activate(testContext(t), config(dr)))
			fingerprintOf(t, tap, dr)
			requireRoot(t, tap)
			done := make(chan struct{}, 4)
			for w := range 4 {
				go func() {
					defer func() { done <- struct{}{} }()
					for n := range 60 {
						k := key((n*7 + w*31 + round) % 400)
						if n%5 == 4 {
							_ = tap.Backend().Delete(context.Background(), k)
						} else {
							_ = tap.Backend().Put(context.Background(),
								&physical.Entry{Key: k, Value: []byte{byte(w), byte(n), byte(round)}})
						}
						tap.Indexes().Store(context.Background())
					}
				}()
			}
			for range 4 {
				<-done
			}
			requireRoot(t, tap)
			require.NoError(t, tap.Abandon(testContext(t)))
		}
	})
}
