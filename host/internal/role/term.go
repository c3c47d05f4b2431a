// SPDX-License-Identifier: MPL-2.0

package role

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// term puts the roles in force. They decide what the core builds and may write, and what is journalled and counted.
type term struct {
	roles   *roles
	core    *vaultcore.Core
	tap     *storage.Tap
	store   physical.Backend
	rows    *rows
	steps   *steps
	mounts  *mounts.Learner
	filters *filters.Filters
	hiding  *filters.Hiding
	logger  hclog.Logger
}

// takeUpRole reads the role record and puts it in force. Only a node that leads may
// write.
func (t *term) takeUpRole(ctx context.Context, leads bool) error {
	if leads {
		if err := t.steps.settle(ctx, t.store, t.logger); err != nil {
			return err
		}
	}
	r, err := loadRecord(ctx, t.core)
	if err != nil {
		return err
	}
	if leads {
		if err := markHadRole(ctx, t.core); err != nil {
			return err
		}
	}
	if err := t.mounts.Load(ctx); err != nil {
		return err
	}
	bootstrapping := false
	if mr := r.mode(ofClients); mr.Role == replication.Secondary {
		if leads {
			if err := t.wipeFormer(ctx); err != nil {
				return err
			}
		}
		if bootstrapping, err = t.firstCopy(ctx); err != nil {
			return err
		}
		if err := t.hiding.Load(ctx, mr.SecondaryID); err != nil {
			return err
		}
	} else {
		t.hiding.Forget()
	}
	t.roles.bootstrapping.Store(bootstrapping)
	t.roles.forwarded.Store(nil)
	if err := t.enforce(ctx, r, true); err != nil {
		return err
	}
	return t.core.SetInertBackends(ctx, bootstrapping || r.servesNothing())
}

// enforce puts a record in force: in Vault's replication state and in the guard. While a core starts, its writes of the
// mount tables are dropped without an error; later they are refused.
func (t *term) enforce(ctx context.Context, r *Record, starting bool) error {
	bootstrapping := t.roles.bootstrapping.Load()
	if err := t.tap.SetGuard(ctx, guardOf(r, bootstrapping, starting)); err != nil {
		return err
	}
	t.roles.put(r)
	t.core.SetReplicationState(r.word(bootstrapping))
	return nil
}

// guardOf is what the core may write in the roles of a record.
func guardOf(r *Record, bootstrapping, starting bool) storage.Guard {
	guard := storage.Guard{}
	for _, m := range modes {
		if r.mode(m).Role == replication.Secondary {
			guard.Level = storage.ReadOnly
			guard.Modes = append(guard.Modes, m)
		}
	}
	if bootstrapping {
		// The core has not read its own rows yet, and must not make new ones.
		guard.Modes = modes
		// The plugin stores what it learns of the primary, and which one it follows.
		guard.Own = records.OfPlugin(ofClients)
	}
	if starting {
		guard.Absorb = startupTables(guard.Modes)
	}
	return guard
}

// startupTables are the keys whose writes are dropped while the core of a secondary of these modes starts. A core
// updates the tables of an older version, the shared and the local one together. Only the primary may store them, but
// an error would leave the node sealed.
func startupTables(secondary []replication.Mode) []string {
	var tables []string
	for table := range keyclass.Tables {
		local := vaultname.IsLocalTable(table)
		if slices.ContainsFunc(secondary, replication.Mode.ReplicatesLocal) || !local && len(secondary) > 0 {
			tables = append(tables, table)
		}
	}
	return tables
}

// endStartup ends the dropping of writes of a core that starts.
func (t *term) endStartup(ctx context.Context) {
	guard := t.tap.Guard()
	if len(guard.Absorb) == 0 {
		return
	}
	guard.Absorb = nil
	if err := t.tap.SetGuard(ctx, guard); err != nil {
		t.logger.Error("the guard of the storage could not be set", "error", err)
	}
}

// beginTerm starts the journal of a primary and the fingerprint of a secondary, and ends those that the roles do not
// need.
func (t *term) beginTerm(ctx context.Context) error {
	r := t.roles.Record()
	if r.mode(ofClients).Role == replication.Primary {
		if err := t.filters.Load(ctx); err != nil {
			return err
		}
	}
	if err := t.activate(ctx, r); err != nil {
		return err
	}
	if t.tap.HistoryLost() {
		if err := t.newHistory(ctx); err != nil {
			return err
		}
		r = t.roles.Record()
	}
	for _, m := range modes {
		switch mr := r.mode(m); mr.Role {
		case replication.Secondary:
			if err := t.tap.StartFingerprint(ctx, m, fingerprint.Key(mr.IndexKey)); err != nil {
				return fmt.Errorf("the fingerprint of replication cannot begin: %w", err)
			}
		case replication.Disabled:
			if err := t.tap.Forget(ctx, m); err != nil {
				return fmt.Errorf("what %s replication has left here cannot be removed: %w", m, err)
			}
		case replication.Primary, replication.Bootstrapping: // nothing of a secondary
		}
	}
	return t.hiding.Settle(ctx)
}

// activate begins the journal for the roles of a record, or ends it.
func (t *term) activate(ctx context.Context, r *Record) error {
	of := map[replication.Mode]primary.ModeConfig{}
	for _, m := range modes {
		if mr := r.mode(m); mr.Role == replication.Primary {
			of[m] = primary.ModeConfig{Epoch: mr.Epoch, IndexKey: fingerprint.Key(mr.IndexKey)}
		}
	}
	var err error
	if len(of) > 0 {
		err = t.tap.Activate(ctx, primary.Config{Modes: of})
	} else {
		err = t.tap.Deactivate(ctx)
	}
	if err != nil {
		return fmt.Errorf("the journal of replication cannot begin: %w", err)
	}
	return nil
}

// endWrites refuses all further replicated writes of a primary: the journal would lack them, or their rows would be of
// a term that has ended, which nobody reads. After its mounts are unloaded, a core only writes rows of its own node.
func (t *term) endWrites(ctx context.Context) error {
	if !t.roles.isPrimary() {
		return nil
	}
	return t.tap.SetGuard(ctx, storage.Guard{Level: storage.ReadOnly, Modes: modes})
}

// deleteFormerRows deletes the journal rows of a cluster that is no primary in any mode any more. If the leadership
// ends first, the next one goes on with it.
func (t *term) deleteFormerRows(duty context.Context) {
	if err := t.tap.DeleteFormerRows(duty); err != nil && duty.Err() == nil {
		t.logger.Warn("rows of the former journal stay in storage until the next leadership; they are never read", "error",
			err)
	}
}

// followRole takes up the role if the active node has changed it. It also looks whether the first copy of a performance
// secondary has ended, which the record does not say.
func (t *term) followRole(ctx context.Context) error {
	r, err := loadRecord(ctx, t.core)
	if err != nil {
		return err
	}
	stored, err := r.encode()
	if err != nil {
		return err
	}
	have, err := t.roles.Record().encode()
	if err != nil {
		return err
	}
	if bytes.Equal(stored, have) {
		if !t.roles.bootstrapping.Load() {
			return nil
		}
		// The role is taken up anew when the copy has ended, not each second before.
		if copying, err := t.firstCopy(ctx); copying || err != nil {
			return err
		}
	}
	return t.takeUpRole(ctx, false)
}

// wipeKey marks a performance secondary that still has the own rows of the former cluster: tokens, leases, local
// mounts. They are encrypted with a keyring that is gone. The copy does not remove them, because they are not
// replicated content.
const wipeKey = "replication/wipe"

// wipeFormer removes these rows before anything reads them. After a crash it is done again.
func (t *term) wipeFormer(ctx context.Context) error {
	mark, err := t.store.Get(ctx, wipeKey)
	if err != nil || mark == nil {
		return err
	}
	t.logger.Info("removing the tokens, leases and local mounts of the cluster that has become a performance secondary")
	if _, err := t.tap.Secondary(ofClients).WipeLocal(ctx, seededKeys...); err != nil {
		return err
	}
	return t.store.Delete(ctx, wipeKey)
}

// seededKeys are local keys that came with the adoption.
var seededKeys = []string{vaultname.LocalMounts}

// firstCopy says whether the first copy of a performance secondary has not ended.
func (t *term) firstCopy(ctx context.Context) (bool, error) {
	cur, err := t.tap.Secondary(ofClients).Cursor(ctx)
	if err != nil {
		return false, err
	}
	return cur.Position.Epoch.IsZero(), nil
}

// lastEpoch is the epoch of a record, or a later epoch into which a secondary has followed its primary.
func (t *term) lastEpoch(ctx context.Context, mode replication.Mode, epoch replication.Epoch) (replication.Epoch,
	error) {
	cur, err := t.tap.Secondary(mode).Cursor(ctx)
	if err != nil {
		return replication.Epoch{}, err
	}
	if cur.Position.Epoch.Generation > epoch.Generation {
		epoch = cur.Position.Epoch
	}
	return epoch, nil
}

// promotedFrom is the epoch that a promotion begins on a cluster whose record has an epoch.
func (t *term) promotedFrom(ctx context.Context, mode replication.Mode, epoch replication.Epoch) (replication.Epoch,
	error) {
	last, err := t.lastEpoch(ctx, mode, epoch)
	if err != nil {
		return last, err
	}
	return newReign(last)
}

// When storage goes back in time, a primary loses a part of its history. Then a new epoch begins: the secondaries
// compare, and positions of the lost history do not count any more. See docs/adr/0016-storage-that-goes-back.md.

const wentBackText = "the storage of this cluster has gone back in time, as when a snapshot or an old data directory " +
	"is restored: a new epoch has begun, and the secondaries compare and copy"

// lateText is shown when secondaries have followed a leader that another node had replaced.
// Storage that does not stop the writes of such a leader lets that happen.
const lateText = "a node of this cluster has written and sent to a secondary after another node had taken over, " +
	"which this storage cannot keep it from: a new epoch has begun, and the secondaries compare and copy"

// newHistory begins a new epoch in each mode in which the cluster is a primary. The journal stays, and its readers get
// PositionLost.
func (t *term) newHistory(ctx context.Context) error {
	r := t.roles.Record()
	for _, m := range modes {
		mr := r.mode(m)
		if mr.Role != replication.Primary {
			continue
		}
		epoch, err := t.lastEpoch(ctx, m, mr.Epoch)
		if err != nil {
			return err
		}
		if mr.Epoch, err = newHistory(epoch); err != nil {
			return err
		}
	}
	rows, err := t.rows.recordRows(ctx, map[string][]byte{}, r)
	if err != nil {
		return err
	}
	if err := t.rows.write(ctx, rows); err != nil {
		return err
	}
	t.roles.put(r)
	if err := t.activate(ctx, r); err != nil {
		return err
	}
	text := wentBackText
	if t.tap.HistoryWasLate(ctx) {
		text = lateText
	}
	t.tap.BeginHistory()
	for _, m := range modes {
		if r.mode(m).Role == replication.Primary {
			t.logger.Error(text, "mode", m, "epoch", r.mode(m).Epoch.String())
			t.roles.setFailure(m, text)
		}
	}
	return nil
}
