// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	part "github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// verifyAt has the secondary compare itself with the primary's position of now.
func verifyAt(t testing.TB, primary, secondary *storage.Tap) (replication.Position, error) {
	t.Helper()
	p, err := primary.Position(dr)
	require.NoError(t, err)
	require.NotEmpty(t, p.Fingerprint)
	return p.Position, secondary.Secondary(dr).Verify(testContext(t), p.Position, p.Fingerprint)
}

// A change below a secondary is noticed when both stand at the same position. Rows are refused until it is mended.
func TestDifferenceIsNoticed(t *testing.T) {
	t.Parallel()
	for name, moving := range map[string]bool{"at rest": false, "while rows come": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			primary, secondary := twins(t, newTxn(t), 200)
			for range 3 {
				_, err := verifyAt(t, primary, secondary)
				require.NoError(t, err)
			}
			putInner(t, secondary.Inner(), key(7), "flipped")
			secondary = reopen(t, secondary)
			var err error
			for range 2 {
				if moving {
					put(t, primary, key(1), "x")
					_, err = verifyAt(t, primary, secondary)
					require.NoError(t, err, "it is not there yet")
					put(t, primary, key(2), "x")
					put(t, primary, key(3), "x")
					err = followOnce(t, primary, secondary)
				} else {
					require.NoError(t, err, "once is not enough")
					_, err = verifyAt(t, primary, secondary)
				}
			}
			require.Equal(t, replication.PositionLost, replication.KindOf(err), err)
			must, err := secondary.Secondary(dr).MustCopy(ctx)
			require.NoError(t, err)
			require.True(t, must)
			require.Equal(t, replication.PositionLost, replication.KindOf(followOnce(t, primary, secondary)))

			at, err := primary.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			require.NoError(t, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
			require.Less(t, compare(t, primary, secondary, dr, "s", 0).synced, uint64(10))
			follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
			require.Equal(t, content(t, primary, dr), content(t, secondary, dr))

			// Another difference right after it is not believed at once.
			putInner(t, secondary.Inner(), key(8), "flipped")
			require.NoError(t, secondary.StopFingerprint(ctx, dr))
			require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
			checked(t, secondary)
			for range 5 {
				_, err = verifyAt(t, primary, secondary)
				require.NoError(t, err)
			}
		})
	}
}

// A difference is also noticed when nothing was written since replication began.
func TestDifferenceBeforeTheFirstWrite(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newTxn(t)
	fillInner(t, inner, 100)
	primary, secondary := newPrimary(t, inner), newTap(t, newTxn(t))
	fingerprintOf(t, primary, dr)
	require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	require.Zero(t, at.Sequence)
	copyAll(t, primary, secondary, dr, at)
	putInner(t, secondary.Inner(), key(7), "flipped")
	secondary = reopen(t, secondary)
	for range 2 {
		_, err = verifyAt(t, primary, secondary)
	}
	require.Equal(t, replication.PositionLost, replication.KindOf(err), err)
}

// followOnce applies one frame with everything after the cursor.
func followOnce(t testing.TB, primary, secondary *storage.Tap) error {
	t.Helper()
	ctx := testContext(t)
	c, err := secondary.Secondary(dr).Cursor(ctx)
	require.NoError(t, err)
	put(t, primary, "logical/uuid/one-more", fmt.Sprint(c.Position.Sequence))
	r, err := primary.ReadJournal(ctx, dr, "s", c.Position)
	require.NoError(t, err)
	defer r.Close()
	f, err := r.Next()
	require.NoError(t, err)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
	return err
}

// The fingerprint of a position has exactly the content of that position, whatever else is being written. So no false
// difference is seen.
func TestFingerprintIsThatOfItsPosition(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		primary, secondary := twins(t, inner, 100)
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					k := key((n*7 + w) % 150)
					if n%5 == 4 {
						_ = primary.Backend().Delete(context.Background(), k)
					} else {
						_ = primary.Backend().Put(context.Background(), &physical.Entry{Key: k, Value: fmt.Appendf(nil, "%d/%d", w, n)})
					}
				}
			})
		}
		defer writers.Wait()
		defer cancel()
		c, err := secondary.Secondary(dr).Cursor(testContext(t))
		require.NoError(t, err)
		r, err := primary.ReadJournal(testContext(t), dr, "s", c.Position)
		require.NoError(t, err)
		defer r.Close()
		equal := 0
		for equal < 8 {
			p, err := primary.Position(dr)
			require.NoError(t, err)
			for c.Position.Sequence < p.Position.Sequence {
				if p.Fingerprint != nil {
					require.NoError(t, secondary.Secondary(dr).Verify(testContext(t), p.Position, p.Fingerprint))
				}
				f, err := r.Next()
				require.NoError(t, err)
				c, err = secondary.Secondary(dr).ApplyFrame(testContext(t), f)
				require.NoError(t, err)
			}
			if p.Fingerprint != nil {
				require.Zero(t, secondary.Secondary(dr).Differences())
				equal++
			}
		}
	})
}

// The declarations of backends may arrive later than their content, and mounts may come and go. Neither makes the
// fingerprints differ.
func TestMountsMakeNoDifference(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		primary, secondary, pm, sm := perfPair(t, inner)
		reclassify := func(tap *storage.Tap, changed []string) {
			for _, prefix := range changed {
				require.NoError(t, tap.Reclassify(ctx, prefix))
			}
		}
		equal := func() {
			t.Helper()
			catchUp(t, primary, secondary)
			requireSame(t, primary, secondary)
			for range 2 * part.DifferencesMax {
				p, err := primary.Position(perf)
				require.NoError(t, err)
				require.NotEmpty(t, p.Fingerprint)
				require.NoError(t, secondary.Secondary(perf).Verify(ctx, p.Position, p.Fingerprint))
			}
			require.Zero(t, secondary.Secondary(perf).Differences())
		}
		reclassify(primary, pm.SetLocalPrefixes("ext", []string{"here/"}))
		put(t, primary, "logical/ext/a", "1")
		put(t, primary, "logical/ext/here/a", "local")
		catchUp(t, primary, secondary)
		require.Equal(t, "1", get(t, secondary.Inner(), "logical/ext/a"))
		require.NotContains(t, content(t, secondary, perf), "logical/ext/a")
		reclassify(secondary, sm.SetRecorded(keyclass.Declared{"ext": {"here/"}}))
		equal()
		require.Contains(t, content(t, secondary, perf), "logical/ext/a")

		// The first keys of a mount may come ahead of the table that has it.
		put(t, primary, "audit/new/salt", "1")
		table := []vaultname.Mount{{UUID: "new", Type: "file"}}
		reclassify(primary, setTable(t, pm, "core/audit", table...))
		put(t, primary, "core/audit", "with it")
		catchUp(t, primary, secondary)
		reclassify(secondary, setTable(t, sm, "core/audit", table...))
		equal()
		reclassify(primary, setTable(t, pm, "core/audit"))
		put(t, primary, "core/audit", "without")
		catchUp(t, primary, secondary)
		reclassify(secondary, setTable(t, sm, "core/audit"))
		equal()
	})
}
