// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A cluster that becomes a performance secondary serves nothing until its first
// copy has ended: it is built as a DR secondary is, with inert engines, and none of
// what the copy brings has to be taken up by a running core. When the copy has
// ended the core restarts in place into the role.

// copies takes up that a copy has ended.
type copies struct {
	changes  *changes
	core     *vaultcore.Core
	tap      *storage.Tap
	roles    *roles
	sessions *sessions
	hiding   *filters.Hiding
	requests Requests
	logger   hclog.Logger
}

// ended is called when a copy has ended.
func (c *copies) ended(mode replication.Mode) {
	if !mode.ServesClients() {
		return
	}
	ctx := context.Background()
	again, err := c.tap.Secondary(mode).MustCopy(ctx)
	if err != nil {
		c.logger.Error("nothing of what the copy has brought is shown until the next copy", "error", err)
		return
	}
	if again {
		// The filter let mounts in while it ran: ranges before may lack their content.
		go c.sessions.copyAgain(ctx)
		return
	}
	any, err := c.hiding.EndAwaiting(ctx)
	if err != nil {
		c.logger.Error("mounts that the paths filter has let in stay hidden until the next copy", "error", err)
	}
	if !c.roles.bootstrapping.Load() {
		if any {
			c.tap.Secondary(mode).Owe(mounts.SharedTables...)
		}
		return
	}
	// The plugin waits for the answer to its last call, and the restart for the
	// plugin's sessions to end.
	go func() {
		c.changes.changing.Lock()
		defer c.changes.changing.Unlock()
		if !c.roles.bootstrapping.Load() {
			return
		}
		// It was for the time without tokens.
		if err := c.core.DeleteEntry(context.Background(), OperationTokenKey); err != nil {
			c.logger.Warn("a DR operation token that was made during the first copy could not be deleted", "error", err)
		}
		c.logger.Info("the first copy has ended; the performance secondary begins to serve")
		empty, open := c.requests.Hold()
		defer open()
		empty()
		if err := c.core.Restart(context.Background(), func(context.Context) ([]byte, error) {
			return nil,
				nil
		}); err != nil {
			c.logger.Error("the performance secondary could not begin to serve", "error", err)
			c.roles.setFailure(mode, "beginning to serve failed: "+err.Error())
		}
	}()
}
