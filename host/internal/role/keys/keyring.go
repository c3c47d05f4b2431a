// SPDX-License-Identifier: MPL-2.0

// Package keys keeps a secondary's keys openable while its primary rotates and rekeys: the
// keyring, the root key, and the shares that open the cluster.
package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// heldPrefix is below which one of the two rows waits that a primary rewrites when it
// rotates or rekeys. They arrive one after the other, and a secondary that had one
// without the other could not be unsealed: the keyring is encrypted with the root key,
// and the root key is stored under a key of the keyring.
const heldPrefix = "replication/held/"

// Ring is the keyring of this cluster and its root key, as they follow a primary's.
type Ring struct {
	barrier Barrier
	// sealed is a root key as it is stored under this cluster's own seal.
	sealed  func(ctx context.Context, root []byte) (*physical.Entry, error)
	content Content
	store   physical.Backend
	role    func(replication.Mode) replication.Role
	logger  hclog.Logger
}

// Barrier is the open barrier of this cluster; vaultcore.Core is one.
type Barrier interface {
	RootKey() ([]byte, error)
	// ActiveTerm is the term of the newest key of the keyring.
	ActiveTerm() (int, error)
	Decrypt(ctx context.Context, key string, value []byte) ([]byte, error)
}

// Content is the replicated content of this cluster.
type Content interface {
	Cursor(ctx context.Context, mode replication.Mode) (*replication.Cursor, error)
	Commit(ctx context.Context, b *txn.Batch) error
}

// content is that of a tap.
type content struct{ *storage.Tap }

func (c content) Cursor(ctx context.Context, mode replication.Mode) (*replication.Cursor, error) {
	return c.Secondary(mode).Cursor(ctx)
}

// NewRing makes it. Store is the storage below the tap, and role the present one.
func NewRing(core *vaultcore.Core, tap *storage.Tap, store physical.Backend,
	role func(replication.Mode) replication.Role, logger hclog.Logger) *Ring {
	sealed := func(ctx context.Context, root []byte) (*physical.Entry, error) {
		return vault.SealWrapStoredBarrierKeys(ctx, core.Seal().GetAccess(), [][]byte{root})
	}
	return &Ring{barrier: core, sealed: sealed, content: content{tap}, store: store, role: role, logger: logger}
}

// BeforeApply keeps the secondary's keys openable at every moment. A keyring that
// the present root key opens (a rotation) passes. One that needs another root key
// (a rekey) is held back with its root key until both are there; then they are
// written together with the secondary's own stored keys.
func (r *Ring) BeforeApply(ctx context.Context, b *txn.Batch) error {
	_, ringComes := b.Get(vaultname.Keyring)
	_, rootComes := b.Get(vaultname.RootKey)
	if !ringComes && !rootComes {
		return nil
	}
	ring, err := r.arriving(ctx, b, vaultname.Keyring)
	if err != nil {
		return err
	}
	root, err := r.arriving(ctx, b, vaultname.RootKey)
	if err != nil {
		return err
	}
	if ring == nil {
		return errors.New("the primary sent a deletion of its keyring: it is refused")
	}
	present, err := r.barrier.RootKey()
	if err != nil {
		return err
	}
	defer clear(present)
	if term, opens := vaultcore.KeyringTerm(ctx, ring, present); opens {
		if ringComes {
			if err := r.keepNewerRing(ctx, b, term); err != nil {
				return err
			}
		}
		return r.dropHeld(ctx, b, ringComes)
	}
	fresh := r.rootKeyIn(ctx, root)
	defer clear(fresh)
	if _, opens := vaultcore.KeyringTerm(ctx, ring, fresh); !opens {
		if !ringComes || !rootComes {
			r.logger.Debug("half of the primary's new keys is here; it is held back until the other half arrives")
		} else {
			r.logger.Error(HeldText)
		}
		r.hold(b, vaultname.Keyring, ring)
		r.hold(b, vaultname.RootKey, root)
		return nil
	}
	stored, err := r.sealed(ctx, fresh)
	if err != nil {
		return fmt.Errorf("the primary's new root key cannot be stored under this cluster's seal: %w", err)
	}
	b.Put(&physical.Entry{Key: vaultname.Keyring, Value: ring})
	b.Put(&physical.Entry{Key: vaultname.RootKey, Value: root})
	b.Put(stored)
	b.Delete(heldPrefix + vaultname.Keyring)
	b.Delete(heldPrefix + vaultname.RootKey)
	r.logger.Info("the primary was rekeyed; this secondary has taken over the new root key, and asks for the new key " +
		"shares")
	return nil
}

// keepNewerRing leaves a keyring out that is older than the one that is here. A primary
// never goes back to one within an epoch: it is a row that is applied once more after a
// crash, and what is newer is in a row that follows. A copy may bring an older one, from
// a primary that has none newer.
func (r *Ring) keepNewerRing(ctx context.Context, b *txn.Batch, term int) error {
	have, err := r.barrier.ActiveTerm()
	if err != nil || term >= have {
		return err
	}
	for _, m := range replication.Modes() {
		if r.role(m) != replication.Secondary {
			continue
		}
		cur, err := r.content.Cursor(ctx, m)
		if err != nil {
			return err
		}
		if cur.Copying {
			return nil
		}
	}
	r.logger.Warn("a keyring that is older than the present one was left out", "term", term, "present", have)
	b.Drop(vaultname.Keyring)
	return nil
}

// Journal writes the keys of a primary once more, through the journal. A migration
// of the seal makes a new root key when a node has won the leadership and before it
// announces itself, so that there is no journal yet.
func (r *Ring) Journal(ctx context.Context) error {
	b := new(txn.Batch)
	for _, key := range []string{vaultname.Keyring, vaultname.RootKey} {
		e, err := r.store.Get(ctx, key)
		if err != nil {
			return err
		}
		if e != nil {
			b.Put(e)
		}
	}
	return r.content.Commit(ctx, b)
}

// dropHeld ends the holding back when a keyring has come that can be opened: what
// is held is older than it, as after a restart that repeats what was applied.
func (r *Ring) dropHeld(ctx context.Context, b *txn.Batch, ringComes bool) error {
	if !ringComes {
		return nil
	}
	held, err := r.Held(ctx)
	if held {
		b.Delete(heldPrefix + vaultname.Keyring)
		b.Delete(heldPrefix + vaultname.RootKey)
	}
	return err
}

// arriving is the newest value of a row: in the batch, else held, else stored.
func (r *Ring) arriving(ctx context.Context, b *txn.Batch, key string) ([]byte, error) {
	if e, ok := b.Get(key); ok {
		if e == nil {
			return nil, nil
		}
		return e.Value, nil
	}
	for _, k := range []string{heldPrefix + key, key} {
		e, err := r.store.Get(ctx, k)
		if err != nil {
			return nil, err
		}
		if e != nil {
			return e.Value, nil
		}
	}
	return nil, nil
}

func (r *Ring) hold(b *txn.Batch, key string, value []byte) {
	b.Drop(key)
	if value != nil {
		b.Put(&physical.Entry{Key: heldPrefix + key, Value: value})
	}
}

// rootKeyIn is the root key in a stored root key row, nil when the open keyring
// does not know the key it is encrypted with.
func (r *Ring) rootKeyIn(ctx context.Context, row []byte) []byte {
	if row == nil {
		return nil
	}
	plain, err := r.barrier.Decrypt(ctx, vaultname.RootKey, row)
	if err != nil {
		return nil
	}
	defer clear(plain)
	key, err := vault.DeserializeKey(plain)
	if err != nil {
		return nil
	}
	return slices.Clone(key.Value)
}

// HeldText is the trouble of a secondary whose primary's keys wait for their other half.
const HeldText = "the primary's keys were changed (rotated and rekeyed) while this secondary was away, and it cannot " +
	"open the new ones: what was written since cannot be read here; " +
	"this secondary asks its primary for them as soon as they are connected"

// Held says whether keys of the primary wait for their other half.
func (r *Ring) Held(ctx context.Context) (bool, error) {
	names, err := r.store.List(ctx, heldPrefix+"core/")
	return len(names) > 0, err
}

// HeldRows are the rows that wait for their other half.
func (r *Ring) HeldRows(ctx context.Context) (map[string][]byte, error) {
	rows := map[string][]byte{}
	for _, key := range []string{heldPrefix + vaultname.Keyring, heldPrefix + vaultname.RootKey} {
		e, err := r.store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		if e != nil {
			rows[key] = e.Value
		}
	}
	return rows, nil
}

// Cursor is the cursor of a mode, and whether keys of the primary are held back.
// While they are, the content is not what the cursor says, for what is encrypted
// with them cannot be read: it counts as inconsistent, and a promotion without
// force waits.
func (r *Ring) Cursor(ctx context.Context, mode replication.Mode) (cur *replication.Cursor, held bool, err error) {
	if cur, err = r.content.Cursor(ctx, mode); err != nil {
		return nil, false, err
	}
	if held, err = r.Held(ctx); err != nil {
		return nil, false, err
	}
	if held {
		cur.ConsistentFrom = max(cur.ConsistentFrom, cur.Position.Sequence+1)
	}
	return cur, held, nil
}
