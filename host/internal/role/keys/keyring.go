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

// heldPrefix is the prefix under which keyring and root key wait for each other. A primary rewrites both rows when it
// rekeys, and they arrive one after the other. A secondary with only one of them could not be unsealed: the keyring is
// encrypted with the root key, and the root key with a key of the keyring.
const heldPrefix = "replication/held/"

// Ring is the keyring of this cluster and its root key, as they follow a primary's.
type Ring struct {
	barrier Barrier
	// sealed returns the row of a root key under this cluster's own seal.
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

// content is the content of a tap.
type content struct{ *storage.Tap }

func (c content) Cursor(ctx context.Context, mode replication.Mode) (*replication.Cursor, error) {
	return c.Secondary(mode).Cursor(ctx)
}

// NewRing makes a Ring. store is the storage below the tap; role returns the present role.
func NewRing(core *vaultcore.Core, tap *storage.Tap, store physical.Backend,
	role func(replication.Mode) replication.Role, logger hclog.Logger) *Ring {
	sealed := func(ctx context.Context, root []byte) (*physical.Entry, error) {
		return vault.SealWrapStoredBarrierKeys(ctx, core.Seal().GetAccess(), [][]byte{root})
	}
	return &Ring{barrier: core, sealed: sealed, content: content{tap}, store: store, role: role, logger: logger}
}

// BeforeApply makes sure that the secondary's keys can be opened at every moment. A keyring that the present root key
// opens (a rotation) passes. A keyring that needs another root key (a rekey) is stored apart, together with that root
// key, until both are there. Then they are written together with the secondary's own stored keys.
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

// keepNewerRing drops a keyring that is older than the present one. Within an epoch a primary never goes back to an
// older keyring: this is a row that is applied again after a crash, and a later row has the newer keyring. A copy may
// bring an older one, if its primary has no newer one.
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

// Journal writes the keys of a primary once more, through the journal. A migration of the seal makes a new root key
// after a node has won the leadership and before it announces itself, when there is no journal yet.
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

// dropHeld drops the rows that were stored apart when a keyring comes that can be opened: they are older than it, for
// example after a restart that applies rows again.
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

// arriving is the newest value of a row: from the batch, otherwise the one stored apart, otherwise the stored one.
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

// rootKeyIn is the root key in the row of a root key. It is nil if the open keyring lacks the key that encrypts the
// row.
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

// Cursor is the cursor of a mode. held says that keys of the primary are stored apart. Then this cluster cannot read
// what is encrypted with them, so the content counts as inconsistent, and a promotion without force waits.
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
