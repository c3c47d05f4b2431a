// SPDX-License-Identifier: MPL-2.0

package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// primary is a barrier of Vault's, whose rows a secondary gets.
type primary struct {
	*vault.AESGCMBarrier
	store physical.Backend
	root  []byte
}

func memory(t *testing.T) physical.Backend {
	t.Helper()
	store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return store
}

func newPrimary(t *testing.T) *primary {
	t.Helper()
	p := &primary{store: memory(t), root: newKey(t)}
	var err error
	p.AESGCMBarrier, err = vault.NewAESGCMBarrier(p.store, false)
	require.NoError(t, err)
	require.NoError(t, p.Initialize(t.Context(), p.root, nil, rand.Reader))
	require.NoError(t, p.Unseal(t.Context(), p.root))
	return p
}

func newKey(t *testing.T) []byte {
	t.Helper()
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	return key
}

func (p *primary) rotates(t *testing.T) {
	t.Helper()
	_, err := p.Rotate(t.Context(), rand.Reader)
	require.NoError(t, err)
}

func (p *primary) rekeys(t *testing.T) {
	t.Helper()
	p.root = newKey(t)
	require.NoError(t, p.Rekey(t.Context(), p.root))
}

func value(t *testing.T, store physical.Backend, key string) []byte {
	t.Helper()
	e, err := store.Get(t.Context(), key)
	require.NoError(t, err)
	if e == nil {
		return nil
	}
	return e.Value
}

// opened is the open barrier of a secondary.
type opened struct {
	*vault.AESGCMBarrier
	root []byte
}

func (o *opened) RootKey() ([]byte, error) { return bytes.Clone(o.root), nil }

func (o *opened) ActiveTerm() (int, error) {
	info, err := o.ActiveKeyInfo()
	if err != nil {
		return 0, err
	}
	return info.Term, nil
}

// following is a secondary. It has the keys that its primary had when it joined.
type following struct {
	*Ring
	store   physical.Backend
	barrier *opened
	cursor  replication.Cursor
	commits []*txn.Batch
	sealErr error
}

type contentOf struct{ f *following }

func (c contentOf) Cursor(context.Context, replication.Mode) (*replication.Cursor, error) {
	cursor := c.f.cursor
	return &cursor, nil
}

func (c contentOf) Commit(_ context.Context, b *txn.Batch) error {
	c.f.commits = append(c.f.commits, b)
	return nil
}

const sealedRow = "core/hsm/barrier-unseal-keys"

func follow(t *testing.T, p *primary) *following {
	t.Helper()
	f := &following{store: memory(t)}
	f.cursor.Position = replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Term: 1, Sequence: 7}
	require.True(t, f.cursor.Consistent())
	for _, key := range []string{vaultname.Keyring, vaultname.RootKey} {
		require.NoError(t, f.store.Put(t.Context(), &physical.Entry{Key: key, Value: value(t, p.store, key)}))
	}
	b, err := vault.NewAESGCMBarrier(f.store, false)
	require.NoError(t, err)
	require.NoError(t, b.Unseal(t.Context(), p.root))
	f.barrier = &opened{b, p.root}
	f.Ring = &Ring{
		barrier: f.barrier, content: contentOf{f}, store: f.store, logger: hclog.NewNullLogger(),
		role: func(m replication.Mode) replication.Role {
			if m == replication.DR {
				return replication.Secondary
			}
			return replication.Disabled
		},
		sealed: func(_ context.Context, root []byte) (*physical.Entry, error) {
			return &physical.Entry{Key: sealedRow, Value: bytes.Clone(root)}, f.sealErr
		},
	}
	return f
}

// applies applies rows as the storage does, after the ring has changed them.
func (f *following) applies(t *testing.T, rows ...*physical.Entry) error {
	t.Helper()
	b := new(txn.Batch)
	for _, row := range rows {
		b.Put(row)
	}
	if err := f.BeforeApply(t.Context(), b); err != nil {
		return err
	}
	for _, key := range []string{vaultname.Keyring, vaultname.RootKey, sealedRow,
		heldPrefix + vaultname.Keyring, heldPrefix + vaultname.RootKey} {
		e, ok := b.Get(key)
		switch {
		case !ok:
		case e == nil:
			require.NoError(t, f.store.Delete(t.Context(), key))
		default:
			require.NoError(t, f.store.Put(t.Context(), e))
		}
	}
	return nil
}

func (f *following) holds(t *testing.T) bool {
	t.Helper()
	held, err := f.Held(t.Context())
	require.NoError(t, err)
	rows, err := f.HeldRows(t.Context())
	require.NoError(t, err)
	require.Equal(t, held, len(rows) > 0)
	return held
}

// opens says whether a root key opens the stored keyring.
func (f *following) opens(t *testing.T, root []byte) bool {
	t.Helper()
	b, err := vault.NewAESGCMBarrier(f.store, false)
	require.NoError(t, err)
	return b.Unseal(t.Context(), root) == nil
}

func (p *primary) row(t *testing.T, key string) *physical.Entry {
	t.Helper()
	return &physical.Entry{Key: key, Value: value(t, p.store, key)}
}

func TestARotationPasses(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	f := follow(t, p)
	p.rotates(t)
	ring := p.row(t, vaultname.Keyring)
	require.NoError(t, f.applies(t, ring))
	require.Equal(t, ring.Value, value(t, f.store, vaultname.Keyring))
	require.False(t, f.holds(t))
	require.True(t, f.opens(t, p.root))
}

// The two rows of a rekey arrive one by one. The first one waits for the other, so that at each moment one root key
// opens the stored keyring.
func TestARekeyIsTakenUpWhenBothHalvesAreThere(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]string{
		"as Vault writes them": {vaultname.Keyring, vaultname.RootKey},
		"the other way round":  {vaultname.RootKey, vaultname.Keyring},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPrimary(t)
			f := follow(t, p)
			before := p.root
			p.rekeys(t)
			require.NoError(t, f.applies(t, p.row(t, order[0])))
			require.True(t, f.opens(t, before))
			if order[0] == vaultname.Keyring {
				require.True(t, f.holds(t))
				cursor, held, err := f.Cursor(t.Context(), replication.DR)
				require.NoError(t, err)
				require.True(t, held)
				require.False(t, cursor.Consistent(), "what was written since cannot be read here")
			}
			require.NoError(t, f.applies(t, p.row(t, order[1])))
			require.False(t, f.holds(t))
			require.True(t, f.opens(t, p.root))
			require.False(t, f.opens(t, before))
			require.Equal(t, p.root, value(t, f.store, sealedRow), "this cluster's own seal has it")
		})
	}
}

// A secondary that was away for a rotation and a rekey gets a keyring that its root key does not open. Its keyring
// cannot read the row with the new root key either.
func TestKeysThatNothingOpensAreHeldBack(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	f := follow(t, p)
	before := p.root
	p.rotates(t)
	p.rekeys(t)
	require.NoError(t, f.applies(t, p.row(t, vaultname.Keyring), p.row(t, vaultname.RootKey)))
	require.True(t, f.holds(t))
	require.True(t, f.opens(t, before))
	require.Nil(t, value(t, f.store, sealedRow))
	rows, err := f.HeldRows(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{
		heldPrefix + vaultname.Keyring: value(t, p.store, vaultname.Keyring),
		heldPrefix + vaultname.RootKey: value(t, p.store, vaultname.RootKey),
	}, rows)
}

// Rows that are stored apart become obsolete when a keyring arrives that can be opened.
func TestAKeyringThatOpensEndsTheHolding(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	f := follow(t, p)
	ring := p.row(t, vaultname.Keyring)
	p.rekeys(t)
	require.NoError(t, f.applies(t, p.row(t, vaultname.Keyring)))
	require.True(t, f.holds(t))
	require.NoError(t, f.applies(t, ring))
	require.False(t, f.holds(t))
}

func TestAnOlderKeyringIsLeftOut(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	older := p.row(t, vaultname.Keyring)
	p.rotates(t)
	f := follow(t, p)
	newer := value(t, f.store, vaultname.Keyring)
	require.NoError(t, f.applies(t, older))
	require.Equal(t, newer, value(t, f.store, vaultname.Keyring))
	f.cursor.Copying = true
	require.NoError(t, f.applies(t, older))
	require.Equal(t, older.Value, value(t, f.store, vaultname.Keyring), "a copy brings what the primary has")
}

func TestWhatCannotBeFollowedChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	f := follow(t, p)
	b := new(txn.Batch)
	b.Delete(vaultname.Keyring)
	require.ErrorContains(t, f.BeforeApply(t.Context(), b), "deletion of its keyring")

	before := p.root
	p.rekeys(t)
	f.sealErr = errors.New("the seal does not answer")
	require.ErrorContains(t, f.applies(t, p.row(t, vaultname.Keyring), p.row(t, vaultname.RootKey)),
		"the seal does not answer")
	require.True(t, f.opens(t, before))
	f.sealErr = nil
	require.NoError(t, f.applies(t, p.row(t, vaultname.Keyring), p.row(t, vaultname.RootKey)))
	require.True(t, f.opens(t, p.root))

	require.NoError(t, f.applies(t, &physical.Entry{Key: "core/other", Value: []byte("v")}), "no key: no concern")
}

// A migration of the seal makes a root key before the journal runs.
func TestAPrimaryJournalsItsKeysOnceMore(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	f := follow(t, p)
	require.NoError(t, f.Journal(t.Context()))
	require.Len(t, f.commits, 1)
	for _, key := range []string{vaultname.Keyring, vaultname.RootKey} {
		e, ok := f.commits[0].Get(key)
		require.True(t, ok)
		require.Equal(t, value(t, p.store, key), e.Value)
	}
}
