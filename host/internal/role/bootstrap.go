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

// A cluster that becomes a performance secondary serves nothing until its first copy has ended. Its core has inert
// engines, as on a DR secondary, so it need not take up what the copy brings. When the copy has ended, the core
// restarts in place into the role.

// copies does what is due when a copy has ended.
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
		// The filter let mounts in while the copy ran: earlier ranges may lack their content.
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
	// In a goroutine: the plugin waits for the answer to this call, and the restart waits for the end of the plugin's
	// sessions.
	go func() {
		c.changes.changing.Lock()
		defer c.changes.changing.Unlock()
		if !c.roles.bootstrapping.Load() {
			return
		}
		// The token was for the time in which the cluster knew no other tokens.
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
