// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"sync"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func newCollector(t *testing.T, shares, required int) (*Collector, *fakeKeys, *memoryStore) {
	keys, store := newFakeKeys(t, shares, required), new(memoryStore)
	return NewCollector(keys, NewVerifier(store, nil), hclog.NewNullLogger()), keys, store
}

func TestCollectorGathersDifferentShares(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, keys, store := newCollector(t, 5, 3)
	_, err := c.Provide(ctx, keys.share(0), "none")
	require.ErrorContains(t, err, "no generation of a DR operation token is in progress")

	status, otp, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	require.Len(t, otp, tokenLength)
	_, _, err = c.Begin(ctx, "", "")
	require.ErrorContains(t, err, "already in progress")

	_, err = c.Provide(ctx, keys.share(0), "other nonce")
	require.ErrorContains(t, err, "incorrect nonce")
	for i := range 2 {
		result, err := c.Provide(ctx, keys.share(i), status.Nonce)
		require.NoError(t, err)
		require.Equal(t, i+1, result.Progress)
		require.False(t, result.Complete)
		require.Empty(t, result.EncodedToken)
	}
	_, err = c.Provide(ctx, keys.share(1), status.Nonce)
	require.ErrorContains(t, err, "already been provided")
	require.Empty(t, store.data)
	result, err := c.Provide(ctx, keys.share(4), status.Nonce)
	require.NoError(t, err)
	require.True(t, result.Complete)
	require.NotEmpty(t, store.data)

	after, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, &Status{Required: 3}, after)
}

// Wrong shares, given by mistake or on purpose, spoil nothing for those who give the right
// ones.
func TestWrongSharesSpoilNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, keys, store := newCollector(t, 5, 3)
	wrong := newFakeKeys(t, 5, 3)
	status, _, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	give := func(share []byte) (*Result, error) { return c.Provide(ctx, share, status.Nonce) }

	for i := range 2 {
		_, err = give(wrong.share(i))
		require.NoError(t, err)
	}
	result, err := give(keys.share(0))
	require.Equal(t, replication.Denied, replication.KindOf(err), "three shares that do not fit")
	require.ErrorContains(t, err, "the attempt goes on")
	require.Nil(t, result)
	_, err = give(wrong.share(3))
	require.Equal(t, replication.Denied, replication.KindOf(err))
	_, err = give(keys.share(1))
	require.Equal(t, replication.Denied, replication.KindOf(err))
	after, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, &Status{Started: true, Nonce: status.Nonce, Progress: 2, Required: 3}, after)
	require.Empty(t, store.data)
	result, err = give(keys.share(4))
	require.NoError(t, err)
	require.True(t, result.Complete)
	require.Equal(t, 3, result.Progress)
	require.NotEmpty(t, store.data)
}

// A flood of wrong shares costs bounded memory and bounded work for each of them.
func TestSharesAreBounded(t *testing.T) {
	t.Parallel()
	for required := 1; required <= 255; required++ {
		n := capacity(required)
		require.LessOrEqual(t, n, max(sharesMax, required+1))
		require.GreaterOrEqual(t, n, required)
		require.LessOrEqual(t, binomial(n-1, required-1), combinationsMax, required)
	}
	require.Equal(t, 10, binomial(5, 2))
	require.Equal(t, sharesMax, capacity(3))

	ctx := context.Background()
	c, keys, _ := newCollector(t, 5, 3)
	status, _, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	first := keys.share(0)
	_, err = c.Provide(ctx, first, status.Nonce)
	require.NoError(t, err)
	for i := range 3 * sharesMax {
		_, _ = c.Provide(ctx, newFakeKeys(t, 5, 3).share(i%5), status.Nonce)
	}
	require.Len(t, c.attempt.shares.kept, sharesMax)
	require.Equal(t, make([]byte, len(first)), first, "a share that was dropped is wiped")
	tried := 0
	c.attempt.shares.find(ctx, func(context.Context, []byte) error { tried++; return errors.New("no") })
	require.LessOrEqual(t, tried, combinationsMax)
	for i := range 3 {
		_, err = c.Provide(ctx, keys.share(i), status.Nonce)
	}
	require.NoError(t, err, "the right shares fit together after the flood")
}

func TestCollectorWipesOnCancelAndRefusal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, keys, _ := newCollector(t, 3, 2)
	c.Cancel()
	status, _, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	kept, refused := keys.share(0), keys.share(1)
	_, err = c.Provide(ctx, kept, status.Nonce)
	require.NoError(t, err)
	_, err = c.Provide(ctx, refused, "wrong")
	require.Error(t, err)
	require.Equal(t, make([]byte, len(refused)), refused)
	require.NotEqual(t, make([]byte, len(kept)), kept)
	c.Cancel()
	require.Equal(t, make([]byte, len(kept)), kept)
}

func TestCollectorKeepsNothingWhenStorageFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, keys, store := newCollector(t, 1, 1)
	store.err = errors.New("disk is gone")
	status, _, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	_, err = c.Provide(ctx, keys.share(0), status.Nonce)
	require.Equal(t, replication.StorageFailed, replication.KindOf(err))
	after, err := c.Status(ctx)
	require.NoError(t, err)
	require.False(t, after.Started)
}

func TestCollectorChecksHowToHideTheToken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, _, _ := newCollector(t, 1, 1)
	for _, in := range [][2]string{{"short", ""}, {"", "not a key"}, {"aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "AAAA"}} {
		_, _, err := c.Begin(ctx, in[0], in[1])
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), in)
	}
	_, _, err := NewCollector(&fakeKeys{}, NewVerifier(new(memoryStore), nil), hclog.NewNullLogger()).Begin(ctx, "", "")
	require.ErrorContains(t, err, "no key shares")
}

func TestCollectorEncryptsToPGPKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, keys, store := newCollector(t, 1, 1)
	entity, err := openpgp.NewEntity("operator", "", "operator@example.com", nil)
	require.NoError(t, err)
	var public bytes.Buffer
	require.NoError(t, entity.Serialize(&public))
	status, otp, err := c.Begin(ctx, "", base64.StdEncoding.EncodeToString(public.Bytes()))
	require.NoError(t, err)
	require.Empty(t, otp)
	require.NotEmpty(t, status.PGPFingerprint)
	result, err := c.Provide(ctx, keys.share(0), status.Nonce)
	require.NoError(t, err)
	blob, err := base64.StdEncoding.DecodeString(result.EncodedToken)
	require.NoError(t, err)
	message, err := openpgp.ReadMessage(bytes.NewReader(blob), openpgp.EntityList{entity}, nil, nil)
	require.NoError(t, err)
	var token bytes.Buffer
	_, err = token.ReadFrom(message.UnverifiedBody)
	require.NoError(t, err)
	require.NoError(t, NewVerifier(store, nil).Allow(ctx, token.String(), promote))
}

func TestCollectorIsOneAttemptUnderConcurrency(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, keys, store := newCollector(t, 8, 8)
	status, _, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	complete := 0
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			result, err := c.Provide(ctx, keys.share(i), status.Nonce)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && result.Complete {
				complete++
			}
		}()
	}
	wg.Wait()
	require.Equal(t, 1, complete)
	require.NotEmpty(t, store.data)
}
