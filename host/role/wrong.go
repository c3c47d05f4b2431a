// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/vault-replication/vault-replication/host/filter"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// IndexWrong runs when the storage was found to have something else than was written to
// it through this server. What a secondary has to make of that its fingerprint says, at
// the next position that the primary names. One whose paths filter hides mounts has
// another fingerprint than its primary at all times, so that nobody would notice: it
// compares at once. It does not block.
func (c observer) IndexWrong(mode replication.Mode) {
	if mode != replication.Performance || c.Role(mode) != replication.Secondary {
		return
	}
	h := c.hiding.Load()
	if h == nil || h.filter == nil || h.filter.Mode == filter.None {
		return
	}
	duty, err := c.active()
	if err != nil {
		return
	}
	go func() {
		if err := c.tap.Secondary(mode).ForceCopy(duty); err != nil {
			c.logger.Error("what was changed in the storage of this secondary, past its server, is not mended until it is asked to look again: merkle-check", "error", err)
			return
		}
		c.logger.Warn("the storage of this secondary has something else than was written to it, and its paths filter makes its fingerprint another one than the primary's: it compares with the primary")
		c.copyAgain(context.WithoutCancel(duty))
	}()
}
