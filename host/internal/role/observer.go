// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"slices"

	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// observer is the controller as the storage knows it.
type observer struct{ *Controller }

// TableWritten takes up a table of mounts that this core is about to store.
func (c observer) TableWritten(ctx context.Context, key string, value []byte) error {
	return c.mounts.TableWritten(ctx, key, value)
}

// BeforeApply takes up what a batch changes in the classes of keys, and keeps the keys of
// this cluster openable.
func (c observer) BeforeApply(ctx context.Context, b *txn.Batch) error {
	c.mounts.Arriving(ctx, b)
	return c.ring.BeforeApply(ctx, b)
}

// Applied makes the open barrier and the running core follow keys that were written
// below them. It returns those that they have not taken up.
func (c observer) Applied(ctx context.Context, written []string) (left []string) {
	if ctx.Err() != nil {
		return written
	}
	of := func(names ...string) (some []string) {
		for _, key := range written {
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
	if slices.Contains(written, keys.SharesRow) {
		c.shares.Applied()
	}
	if err := c.mounts.Settle(ctx); err != nil {
		c.logger.Error("the classes of keys could not be renewed; the fingerprint of this cluster may differ until they are",
			"error", err)
		left = append(left, vaultname.Mounts) // any table stands for it
	}
	tables, own := of(mounts.SharedTables...), of(filters.Key(c.Record().mode(ofClients).SecondaryID))
	if c.Role(ofClients) == replication.Secondary && len(own)+len(tables) > 0 {
		// In the first copy too: what is let in while it runs may be missing after it.
		if err := c.hiding.Review(ctx, c.tap.Secondary(ofClients).ForceCopyApplied); err != nil {
			c.logger.Error("the paths filter of this secondary cannot be taken up; the last one stays in force", "error", err)
			left = append(append(left, own...), tables...)
		}
	}
	if !c.Serves() {
		return left // what it serves one day is read from storage then
	}
	if len(own) > 0 {
		written = append(slices.Clone(written), mounts.SharedTables...)
	}
	return append(left, c.serving.Applied(ctx, written)...)
}

// IndexWrong runs when the storage was found to have something else than was written to
// it through this server. What a secondary has to make of that its fingerprint says, at
// the next position that the primary names. One whose paths filter hides mounts has
// another fingerprint than its primary at all times, so that nobody would notice: it
// compares at once. It does not block.
func (c observer) IndexWrong(mode replication.Mode) {
	if !mode.Filtered() || c.Role(mode) != replication.Secondary {
		return
	}
	if !c.hiding.Any() {
		return
	}
	duty, err := c.active()
	if err != nil {
		return
	}
	go func() {
		if err := c.tap.Secondary(mode).ForceCopy(duty); err != nil {
			c.logger.Error("what was changed in the storage of this secondary, past its server, is not mended until it is "+
				"asked to look again: merkle-check", "error", err)
			return
		}
		c.logger.Warn("the storage of this secondary has something else than was written to it, and its paths filter makes " +
			"its fingerprint another one than the primary's: it compares with the primary")
		c.copyAgain(context.WithoutCancel(duty))
	}()
}
