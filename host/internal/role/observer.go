// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// observer is told what happens in the storage.
type observer struct {
	changes  *changes
	core     *vaultcore.Core
	tap      *storage.Tap
	roles    *roles
	sessions *sessions
	term     *term
	ring     *keys.Ring
	shares   *keys.Shares
	serving  Serving
	// doubted is why the storage is to be compared with the primary's, nil for no doubt.
	doubted atomic.Pointer[string]
	logger  hclog.Logger
}

// LeadershipBegins runs when a node of an HA cluster has won the leadership and
// announces itself, before it builds anything. The role may have changed since
// the barrier was opened.
func (c *observer) LeadershipBegins(ctx context.Context) error {
	// State from an earlier leadership of this node is older than the writes of the leaders in between.
	if err := c.tap.Abandon(ctx); err != nil {
		return err
	}
	if err := c.term.takeUpRole(ctx, true); err != nil {
		return err
	}
	if err := c.term.beginTerm(ctx); err != nil {
		return err
	}
	if !c.roles.isPrimary() {
		return nil
	}
	return c.ring.Journal(ctx)
}

// TableWritten takes up what decides the classes of keys and is about to be stored by this core.
func (c *observer) TableWritten(ctx context.Context, key string, value []byte) error {
	return c.term.mounts.TableWritten(ctx, key, value)
}

// BeforeApply takes up changed classes of keys, and makes sure that the keys of this cluster can be opened.
func (c *observer) BeforeApply(ctx context.Context, b *txn.Batch) error {
	c.term.mounts.Arriving(ctx, b)
	return c.ring.BeforeApply(ctx, b)
}

// Applied has the open barrier and the running core take up keys that were applied. It returns the keys that they have
// not taken up.
func (c *observer) Applied(ctx context.Context, written []string) (left []string) {
	if ctx.Err() != nil {
		return written
	}
	of := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(written), func(key string) bool { return !slices.Contains(names, key) })
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
	if err := c.term.mounts.Settle(ctx); err != nil {
		c.logger.Error("the classes of keys could not be renewed; the fingerprint of this cluster may differ until they are",
			"error", err)
		left = append(left, vaultname.Mounts) // any table will do
	}
	tables, own := of(mounts.SharedTables...), of(filters.Key(c.roles.Record().mode(ofClients).SecondaryID))
	if c.roles.Role(ofClients) == replication.Secondary && len(own)+len(tables) > 0 {
		// During the first copy too: mounts that are let in meanwhile may be missing after it.
		if err := c.term.hiding.Review(ctx, c.tap.Secondary(ofClients).ForceCopyApplied); err != nil {
			c.logger.Error("the paths filter of this secondary cannot be taken up; the last one stays in force", "error", err)
			left = append(append(left, own...), tables...)
		}
	}
	if !c.roles.Serves() {
		return left // the core reads everything from storage when it begins to serve
	}
	if len(own) > 0 {
		written = append(slices.Clone(written), mounts.SharedTables...)
	}
	return append(left, c.serving.Applied(ctx, written)...)
}

// IndexWrong runs when the storage differs from what was written to it through this server. A secondary usually notices
// this by its fingerprint, at the next position for which the primary sends one. A secondary behind a paths filter
// always has another fingerprint than its primary and would not notice, so it compares at once. The call does not
// block.
func (c *observer) IndexWrong(mode replication.Mode) {
	c.doubt(mode, "the storage of this secondary has something else than was written to it")
}

// IndexUnseen runs when nobody can know whether the storage was changed while no server ran: such a secondary compares
// once. In the first copy, which brings everything, there is nothing to doubt.
func (c *observer) IndexUnseen(mode replication.Mode) {
	if !c.roles.bootstrapping.Load() {
		c.doubt(mode, "no complete index was stored to compare the storage of this secondary with, as after a crash")
	}
}

// doubt has a secondary with a paths filter compare with its primary: now, or when the node becomes active.
func (c *observer) doubt(mode replication.Mode, why string) {
	if mode.Filtered() {
		c.doubted.Store(&why)
		c.settleDoubt()
	}
}

// settleDoubt begins what doubt has asked for, if the node is active.
func (c *observer) settleDoubt() {
	duty, err := c.roles.active()
	if err != nil {
		return
	}
	why := c.doubted.Swap(nil)
	if why == nil || c.roles.Role(ofClients) != replication.Secondary || !c.term.hiding.Any() {
		return
	}
	go func() {
		if err := c.tap.Secondary(ofClients).ForceCopy(duty); err != nil {
			c.logger.Error("what was changed in the storage of this secondary, past its server, is not mended until it is "+
				"asked to look again: merkle-check", "error", err)
			return
		}
		c.logger.Warn(*why + ", and its paths filter makes its fingerprint another one than the primary's: it compares " +
			"with the primary")
		c.sessions.copyAgain(context.WithoutCancel(duty))
	}()
}

// HistoryLost is called when the storage of this primary has lost a history, as a secondary has proved. It must not
// block.
func (c *observer) HistoryLost() {
	duty, err := c.roles.active()
	if err != nil {
		return // beginTerm asks
	}
	go func() {
		c.changes.changing.Lock()
		defer c.changes.changing.Unlock()
		if duty.Err() != nil || !c.tap.HistoryLost() {
			return
		}
		if err := c.term.newHistory(duty); err != nil {
			c.logger.Error("the storage of this cluster has gone back in time, and no new epoch could be begun; it is tried "+
				"again when the node becomes active", "error", err)
		}
	}()
}

// taintWait bounds how long the removal of a mount waits for the performance secondaries to revoke their leases of it.
const taintWait = 15 * time.Second

// taintSilence is how long a secondary may be silent before nobody waits for it any more. It sends a heartbeat each
// second. Vault holds the lock of the table during the wait, so a secondary that hangs would block everything about
// mounts here.
const taintSilence = 3 * time.Second

// TableStored delays the removal of a mount that was just tainted until every connected performance secondary has taken
// the taint up. A secondary revokes its leases of the mount before it acknowledges, and needs the engine and its
// configuration for that. The wait for a slow secondary is bounded; that for a silent one is shorter.
func (c *observer) TableStored(ctx context.Context, key string) {
	if !c.term.mounts.TakeTainted(key) || c.roles.Role(ofClients) != replication.Primary {
		return
	}
	b := c.sessions.plugins.Running(ofClients)
	at, err := c.tap.LastWritten(ofClients)
	if b == nil || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, taintWait)
	defer cancel()
	if behind := awaitAcknowledged(ctx, b, at.Sequence, taintSilence); behind != "" {
		c.logger.Warn("a mount is taken away before a performance secondary has revoked its leases of it", "secondary",
			behind, "table", key)
	}
}
