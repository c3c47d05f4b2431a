// SPDX-License-Identifier: MPL-2.0

package relations

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const mode = replication.DR

// book has the key of one secondary. While it is read, reading is called.
type book struct {
	pairing.Store
	reading func()
}

func (b *book) GetEntry(_ context.Context, key string) ([]byte, error) {
	if key == "pairing/"+hex.EncodeToString([]byte("west")) {
		b.reading()
		return bytes.Repeat([]byte{1}, pairing.KeySize), nil
	}
	return nil, nil
}

func (b *book) PutEntry(context.Context, string, []byte) error { return nil }

func newRelations(t *testing.T) (*Relations, *book) {
	t.Helper()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	tap := storage.New(inner, storage.Options{})
	t.Cleanup(func() { _ = tap.Close(context.Background()) })
	b := &book{reading: func() {}}
	own := func(replication.Mode) Own {
		return Own{SetID: "set", SecondaryID: "west", Pairing: bytes.Repeat([]byte{1}, pairing.KeySize)}
	}
	return New(tap, pairing.New(b, func(replication.Mode) string { return "" }), own, hclog.NewNullLogger()), b
}

// A refusal stays in the status for a minute at least, however much is good meanwhile, and counts.
func TestRefusalsAreShownForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(nil, nil, nil, hclog.NewNullLogger())
		require.Empty(t, r.Trouble(mode))
		r.Held(mode)
		r.refused(mode)(errors.New("one"))
		r.refused(mode)(errors.New("two"))
		const text = "two (2 messages were refused since this node became active)"
		time.Sleep(refusalShown - time.Second)
		r.Held(mode)
		require.Equal(t, text, r.Trouble(mode))
		require.Empty(t, r.Trouble(replication.Performance))
		time.Sleep(time.Second)
		require.Equal(t, text, r.Trouble(mode), "nothing was good since")
		r.Held(mode)
		require.Empty(t, r.Trouble(mode))
		r.refused(mode)(errors.New("three"))
		require.Contains(t, r.Trouble(mode), "three (3 messages")
		r.ForgetAll()
		require.Empty(t, r.Trouble(mode))
	})
}

func TestKeysAreReadOnceUntilTheyAreForgotten(t *testing.T) {
	t.Parallel()
	r, b := newRelations(t)
	reads := 0
	b.reading = func() { reads++ }
	first, err := r.ToSecondary(t.Context(), mode, "west")
	require.NoError(t, err)
	before := reads
	again, err := r.ToSecondary(t.Context(), mode, "west")
	require.NoError(t, err)
	require.Same(t, first, again)
	require.Equal(t, before, reads)
	_, err = r.ToSecondary(t.Context(), mode, "stranger")
	require.Equal(t, replication.Denied, replication.KindOf(err))

	for _, forget := range []func(){func() { r.Forget(mode, "west") }, r.ForgetAll} {
		forget()
		other, err := r.ToSecondary(t.Context(), mode, "west")
		require.NoError(t, err)
		require.NotSame(t, first, other)
		first = other
	}
}

// A key that was read before a revocation is not used after it.
func TestAKeyThatIsForgottenWhileItIsReadIsNotUsed(t *testing.T) {
	t.Parallel()
	r, b := newRelations(t)
	b.reading = func() { r.Forget(mode, "west") }
	_, err := r.ToSecondary(t.Context(), mode, "west")
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	b.reading = func() {}
	_, err = r.ToSecondary(t.Context(), mode, "west")
	require.NoError(t, err)
}

// The secondary of a mode is one for as long as the node runs, whatever becomes of its key: it knows which
// messages it has had.
func TestTheSecondaryOfAModeStays(t *testing.T) {
	t.Parallel()
	r, _ := newRelations(t)
	first, err := r.ToPrimary(mode)
	require.NoError(t, err)
	r.ForgetAll()
	again, err := r.ToPrimary(mode)
	require.NoError(t, err)
	require.Same(t, first, again)
}
