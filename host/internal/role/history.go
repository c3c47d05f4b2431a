// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Storage that goes back in time takes the history of a primary with it. Then a new
// epoch begins: the secondaries compare and copy, and positions of the history that is
// gone mean nothing any more. See docs/adr/0016-storage-that-goes-back.md.

const wentBackText = "the storage of this cluster has gone back in time, as when a snapshot or an old data directory " +
	"is restored: a new epoch has begun, and the secondaries compare and copy"

// lateText is shown when secondaries have followed a leader that another node had replaced.
// Storage that does not stop the writes of such a leader lets that happen.
const lateText = "a node of this cluster has written and sent to a secondary after another node had taken over, " +
	"which this storage cannot keep it from: a new epoch has begun, and the secondaries compare and copy"

// newHistory begins a new epoch in each mode in which the cluster is a primary. The
// journal is there, and whoever reads it is told that the position is lost.
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

// HistoryLost is called when a secondary has proved that it has what this primary's
// storage had and has no more. It must not block.
func (c observer) HistoryLost() {
	duty, err := c.active()
	if err != nil {
		return // beginTerm asks
	}
	go func() {
		c.changing.Lock()
		defer c.changing.Unlock()
		if duty.Err() != nil || !c.tap.HistoryLost() {
			return
		}
		if err := c.newHistory(duty); err != nil {
			c.logger.Error("the storage of this cluster has gone back in time, and no new epoch could be begun; it is tried "+
				"again when the node becomes active", "error", err)
		}
	}()
}
