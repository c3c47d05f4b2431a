// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// stopTimeout bounds how long a plugin may take to end its sessions. After it the
// node goes on without: a plugin that hangs must not keep Vault from sealing.
const stopTimeout = 5 * time.Second

// startPlugin makes the plugin of a mode run and gives it the role. The plugin's
// own (re)starts come through PluginStarted.
func (c *Controller) startPlugin(ctx context.Context, mode replication.Mode) {
	b := c.plugins.Running(mode)
	if b == nil {
		// A process that is started now gets its role through PluginStarted.
		if _, err := c.plugins.Backend(ctx, mode); err != nil && ctx.Err() == nil {
			c.logger.Error("the replication plugin does not start; it is tried again", "mode", mode, "error", err)
		}
		return
	}
	if err := c.giveRole(ctx, mode, b); err != nil && ctx.Err() == nil {
		c.logger.Error("the replication plugin did not take up its role", "mode", mode, "error", err)
	}
}

// PluginStarted is called by the supervisor each time a plugin process has been
// started anew. While the node is not active there is nothing to begin.
func (c *Controller) PluginStarted(ctx context.Context, mode replication.Mode, b replication.Backend) error {
	if _, err := c.active(); err != nil {
		return nil //nolint:nilerr // a node that is not active gives no role
	}
	return c.giveRole(ctx, mode, b)
}

func (c *Controller) giveRole(ctx context.Context, mode replication.Mode, b replication.Backend) error {
	mr := c.Record().mode(mode)
	err := b.Start(ctx, replication.StartRequest{Role: mr.Role, ClusterID: mr.SetID, Contested: mr.Contested})
	if err == nil && mr.Role == replication.Primary {
		c.tellRevocations(ctx, mode, b)
	}
	return err
}

// stopPlugin ends the sessions of a mode; the process stays.
func (c *Controller) stopPlugin(mode replication.Mode) {
	if b := c.plugins.Running(mode); b != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			c.logger.Warn("the replication plugin did not end its sessions in time; they are cut", "mode", mode, "error", err)
		}
	}
	c.port.StopListening(mode)
}
