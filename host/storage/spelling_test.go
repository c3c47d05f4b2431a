// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ownRows are what no peer may touch.
var ownRows = []string{"core/replication/role", "core/seal-config", "core/hsm/barrier-unseal-keys", "replication/step",
	"sys/uiconfig_plaintext"}

// forgeries are texts that path storage takes for one of ownRows.
var forgeries = []string{
	"core//replication/role", "core//seal-config", "/replication/step", "./sys/uiconfig_plaintext",
	"core/hsm//barrier-unseal-keys", "core/seal-config/",
	"core/./seal-config", "x/../core/seal-config", "core/seal-config/.", "//core/seal-config", "CORE/seal-config",
	"core/seal-config.", "core\\seal-config",
	"core/seal-config\x00", "core/_seal-config/x",
}

func eachStorage(t *testing.T, run func(t *testing.T, inner physical.Backend, pathKeys bool)) {
	t.Helper()
	t.Run("file", func(t *testing.T) { t.Parallel(); run(t, newFile(t), true) })
	t.Run("transactions", func(t *testing.T) { t.Parallel(); run(t, newTxn(t), false) })
}

// spelled is a secondary in a storage with own rows.
func spelled(t *testing.T, inner physical.Backend, pathKeys bool) *storage.Tap {
	t.Helper()
	for _, key := range ownRows {
		require.NoError(t, inner.Put(testContext(t), &physical.Entry{Key: key, Value: []byte(key)}))
	}
	return newTap(t, inner, func(o *storage.Options) { o.PathKeys = pathKeys })
}

func requireOwnRows(t *testing.T, inner physical.Backend) {
	t.Helper()
	for _, key := range ownRows {
		require.Equal(t, key, get(t, inner, key))
	}
}

func TestNoSpellingInAFrameReachesOwnKeys(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, inner physical.Backend, pathKeys bool) {
		ctx := testContext(t)
		tap := spelled(t, inner, pathKeys)
		from := replication.Position{Epoch: epoch, Term: 1, Sequence: 10}
		require.NoError(t, tap.Secondary(dr).BeginCopy(ctx, from, nil))
		_, err := tap.Secondary(dr).ApplyRange(ctx, &replication.Range{Last: true, Payload: emptyRange})
		require.NoError(t, err)
		_, err = tap.Secondary(dr).EndCopy(ctx)
		require.NoError(t, err)
		for _, key := range forgeries {
			for _, op := range []journal.Op{{Kind: journal.Put, Key: key, Value: []byte("forged")},
				{Kind: journal.Delete, Key: key}} {
				enc := journal.NewFrameEncoder(10)
				enc.Add(11, []journal.Op{op})
				to := from
				to.Sequence = 11
				_, err := tap.Secondary(dr).ApplyFrame(ctx, &replication.Frame{After: 10, To: to, Payload: enc.Payload()})
				require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%q: %v", key, err)
			}
		}
		requireOwnRows(t, inner)
	})
}

// Neither the keys of a range nor its bounds reach own rows.
func TestNoSpellingInARangeReachesOwnKeys(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, inner physical.Backend, pathKeys bool) {
		ctx := testContext(t)
		tap := spelled(t, inner, pathKeys)
		from := replication.Position{Epoch: epoch, Term: 1, Sequence: 10}
		for _, key := range forgeries {
			require.NoError(t, tap.Secondary(dr).BeginCopy(ctx, from, nil))
			payload := journal.EncodeRange([]journal.Pair{{Key: key, Value: []byte("forged")}})
			_, err := tap.Secondary(dr).ApplyRange(ctx, &replication.Range{Last: true, Keys: 1, Payload: payload})
			require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%q: %v", key, err)

			require.NoError(t, tap.Secondary(dr).BeginCopy(ctx, from, nil))
			upTo := key[:len(key)-1]
			_, err = tap.Secondary(dr).ApplyRange(ctx, &replication.Range{UpTo: upTo, Payload: emptyRange})
			require.NoError(t, err)
			_, err = tap.Secondary(dr).ApplyRange(ctx, &replication.Range{After: upTo, UpTo: key + "0", Payload: emptyRange})
			require.NoError(t, err)
			_, err = tap.Secondary(dr).ApplyRange(ctx, &replication.Range{After: key + "0", Last: true, Payload: emptyRange})
			require.NoError(t, err)
			requireOwnRows(t, inner)
		}
	})
}

// A secondary's question may name any keys as bounds. The answer has none of the primary's own keys.
func TestNoBoundOfAQuestionReachesOwnKeys(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, inner physical.Backend, pathKeys bool) {
		ctx := testContext(t)
		for _, key := range ownRows {
			require.NoError(t, inner.Put(ctx, &physical.Entry{Key: key, Value: []byte("own value")}))
		}
		tap := newPrimary(t, inner, func(o *storage.Options) { o.PathKeys = pathKeys })
		_, err := tap.OpenSlot(ctx, dr, "a")
		require.NoError(t, err)
		for _, key := range forgeries {
			q := journal.Question{Asks: []journal.Ask{{After: key[:len(key)-1], UpTo: key + "0", Level: journal.Values}}}
			answer, err := tap.AnswerDiff(ctx, dr, "a", q.Encode())
			require.NoError(t, err)
			require.NotContains(t, string(answer), "own value")
			rng, err := tap.ReadRange(ctx, dr, "a", key[:len(key)-1])
			require.NoError(t, err)
			require.NotContains(t, string(rng.Payload), "own value")
		}
	})
}

// If the storage takes two keys of a mount for one, the second is not written: content would be lost. Other storage
// gets both.
func TestKeysThatPathStorageTakesForOne(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, inner physical.Backend, pathKeys bool) {
		ctx := testContext(t)
		tap := spelled(t, inner, pathKeys)
		require.NoError(t, tap.Secondary(dr).BeginCopy(ctx, replication.Position{Epoch: epoch, Term: 1, Sequence: 10}, nil))
		for _, key := range []string{"logical/u//a", "logical/u/./a", "logical/u/a/"} {
			payload := journal.EncodeRange([]journal.Pair{{Key: key, Value: []byte("v")}})
			_, err := tap.Secondary(dr).ApplyRange(ctx, &replication.Range{UpTo: key, Keys: 1, Payload: payload})
			if pathKeys {
				require.ErrorContains(t, err, "takes for", key)
				require.Equal(t, "<none>", get(t, inner, "logical/u/a"))
				continue
			}
			require.NoError(t, err)
			require.Equal(t, "v", get(t, inner, key))
			require.NoError(t, tap.Secondary(dr).BeginCopy(ctx, replication.Position{Epoch: epoch, Term: 1, Sequence: 10}, nil))
		}
	})
}
