// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultcore"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// heldPrefix is below which one of the two rows waits that a primary rewrites when it
// rotates or rekeys. They arrive one after the other, and a secondary that had one
// without the other could not be unsealed: the keyring is encrypted with the root key,
// and the root key is stored under a key of the keyring.
const heldPrefix = "replication/held/"

// BeforeApply keeps the secondary's keys openable at every moment. A keyring that
// the present root key opens (a rotation) passes. One that needs another root key
// (a rekey) is held back with its root key until both are there; then they are
// written together with the secondary's own stored keys.
func (c observer) BeforeApply(ctx context.Context, b *txn.Batch) error {
	c.learnArriving(ctx, b)
	_, ringComes := b.Get(vaultname.Keyring)
	_, rootComes := b.Get(vaultname.RootKey)
	if !ringComes && !rootComes {
		return nil
	}
	ring, err := c.arriving(ctx, b, vaultname.Keyring)
	if err != nil {
		return err
	}
	root, err := c.arriving(ctx, b, vaultname.RootKey)
	if err != nil {
		return err
	}
	if ring == nil {
		return errors.New("the primary sent a deletion of its keyring: it is refused")
	}
	present, err := c.core.RootKey()
	if err != nil {
		return err
	}
	defer clear(present)
	if term, opens := vaultcore.KeyringTerm(ctx, ring, present); opens {
		if ringComes {
			if err := c.keepNewerRing(ctx, b, term); err != nil {
				return err
			}
		}
		return c.dropHeld(ctx, b, ringComes)
	}
	fresh := c.rootKeyIn(ctx, root)
	defer clear(fresh)
	if fresh == nil || !vaultcore.OpensKeyring(ctx, ring, fresh) {
		if !ringComes || !rootComes {
			c.logger.Debug("half of the primary's new keys is here; it is held back until the other half arrives")
		} else {
			c.logger.Error(heldText)
		}
		c.hold(b, vaultname.Keyring, ring)
		c.hold(b, vaultname.RootKey, root)
		return nil
	}
	stored, err := vault.SealWrapStoredBarrierKeys(ctx, c.core.Seal().GetAccess(), [][]byte{fresh})
	if err != nil {
		return fmt.Errorf("the primary's new root key cannot be stored under this cluster's seal: %w", err)
	}
	b.Put(&physical.Entry{Key: vaultname.Keyring, Value: ring})
	b.Put(&physical.Entry{Key: vaultname.RootKey, Value: root})
	b.Put(stored)
	b.Delete(heldPrefix + vaultname.Keyring)
	b.Delete(heldPrefix + vaultname.RootKey)
	c.logger.Info("the primary was rekeyed; this secondary has taken over the new root key, and asks for the new key shares")
	return nil
}

// keepNewerRing leaves a keyring out that is older than the one that is here. A primary
// never goes back to one within an epoch: it is a row that is applied once more after a
// crash, and what is newer is in a row that follows. A copy may bring an older one, from
// a primary that has none newer.
func (c *Controller) keepNewerRing(ctx context.Context, b *txn.Batch, term int) error {
	have, err := c.core.ActiveTerm()
	if err != nil || term >= have {
		return err
	}
	for _, m := range modes {
		if c.Role(m) != replication.Secondary {
			continue
		}
		cur, err := c.tap.Secondary(m).Cursor(ctx)
		if err != nil {
			return err
		}
		if cur.Copying {
			return nil
		}
	}
	c.logger.Warn("a keyring that is older than the present one was left out", "term", term, "present", have)
	b.Drop(vaultname.Keyring)
	return nil
}

// journalKeys writes the keys of a primary once more, through the journal. A migration
// of the seal makes a new root key when a node has won the leadership and before it
// announces itself, so that there is no journal yet.
func (c *Controller) journalKeys(ctx context.Context) error {
	r := c.Record()
	if r.DR.Role != replication.Primary && r.Performance.Role != replication.Primary {
		return nil
	}
	b := new(txn.Batch)
	for _, key := range []string{vaultname.Keyring, vaultname.RootKey} {
		e, err := c.store.Get(ctx, key)
		if err != nil {
			return err
		}
		if e != nil {
			b.Put(e)
		}
	}
	return c.tap.Commit(ctx, b)
}

// dropHeld ends the holding back when a keyring has come that can be opened: what
// is held is older than it, as after a restart that repeats what was applied.
func (c *Controller) dropHeld(ctx context.Context, b *txn.Batch, ringComes bool) error {
	if !ringComes {
		return nil
	}
	held, err := c.keysHeld(ctx)
	if held {
		b.Delete(heldPrefix + vaultname.Keyring)
		b.Delete(heldPrefix + vaultname.RootKey)
	}
	return err
}

// arriving is the newest value of a row: in the batch, else held, else stored.
func (c *Controller) arriving(ctx context.Context, b *txn.Batch, key string) ([]byte, error) {
	if e, ok := b.Get(key); ok {
		if e == nil {
			return nil, nil
		}
		return e.Value, nil
	}
	for _, k := range []string{heldPrefix + key, key} {
		e, err := c.store.Get(ctx, k)
		if err != nil {
			return nil, err
		}
		if e != nil {
			return e.Value, nil
		}
	}
	return nil, nil
}

func (c *Controller) hold(b *txn.Batch, key string, value []byte) {
	b.Drop(key)
	if value != nil {
		b.Put(&physical.Entry{Key: heldPrefix + key, Value: value})
	}
}

// rootKeyIn is the root key in a stored root key row, nil when the open keyring
// does not know the key it is encrypted with.
func (c *Controller) rootKeyIn(ctx context.Context, row []byte) []byte {
	if row == nil {
		return nil
	}
	plain, err := c.core.Decrypt(ctx, vaultname.RootKey, row)
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

// Applied makes the open barrier and the running core follow keys that were written
// below them. It returns those that they have not taken up.
func (c observer) Applied(ctx context.Context, keys []string) (left []string) {
	if ctx.Err() != nil {
		return keys
	}
	of := func(names ...string) (some []string) {
		for _, key := range keys {
			if slices.Contains(names, key) {
				some = append(some, key)
			}
		}
		return some
	}
	if rows := of(vaultname.Keyring, vaultname.RootKey); len(rows) > 0 {
		if err := c.core.ReloadKeys(ctx); err != nil {
			c.logger.Warn("the primary's new keys are not complete yet", "error", err)
			left = append(left, rows...)
		}
	}
	if slices.Contains(keys, sharesRow) {
		c.shares.applied()
	}
	if err := c.settleLearned(ctx); err != nil {
		c.logger.Error("the classes of keys could not be renewed; the fingerprint of this cluster may differ until they are", "error", err)
		left = append(left, anyTable)
	}
	tables, own := of(sharedTables...), of(filterKey(c.Record().Performance.SecondaryID))
	if c.Role(replication.Performance) == replication.Secondary && len(own)+len(tables) > 0 {
		// In the first copy too: what is let in while it runs may be missing after it.
		if err := c.reviewHiding(ctx, c.tap.Secondary(replication.Performance).ForceCopyApplied); err != nil {
			c.logger.Error("the paths filter of this secondary cannot be taken up; the last one stays in force", "error", err)
			left = append(append(left, own...), tables...)
		}
	}
	if !c.Serves() {
		return left // what it serves one day is read from storage then
	}
	if len(own) > 0 {
		keys = append(slices.Clone(keys), sharedTables...)
	}
	return append(left, c.serving.Applied(ctx, keys)...)
}

const heldText = "the primary's keys were changed (rotated and rekeyed) while this secondary was away, and it cannot open the new ones: what was written since cannot be read here; " +
	"this secondary asks its primary for them as soon as they are connected"

// keysHeld says whether keys of the primary wait for their other half.
func (c *Controller) keysHeld(ctx context.Context) (bool, error) {
	names, err := c.store.List(ctx, heldPrefix+"core/")
	return len(names) > 0, err
}

// cursor is the cursor of a mode, and whether keys of the primary are held back.
// While they are, the content is not what the cursor says, for what is encrypted
// with them cannot be read: it counts as inconsistent, and a promotion without
// force waits.
func (c *Controller) cursor(ctx context.Context, mode replication.Mode) (cur *replication.Cursor, held bool, err error) {
	if cur, err = c.tap.Secondary(mode).Cursor(ctx); err != nil {
		return nil, false, err
	}
	if held, err = c.keysHeld(ctx); err != nil {
		return nil, false, err
	}
	if held {
		cur.ConsistentFrom = max(cur.ConsistentFrom, cur.Position.Sequence+1)
	}
	return cur, held, nil
}
