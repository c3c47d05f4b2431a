// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// failoverPatience bounds how long the plugin of disaster recovery is waited for. A
// heartbeat of performance replication is held up as long.
const failoverPatience = time.Second

// failoverAddrs are the cluster addresses of this cluster's DR secondaries: the one
// that is promoted takes over its role in performance replication. Nil while they are
// not known.
func (c *Controller) failoverAddrs(ctx context.Context) []string {
	if c.Role(replication.DR) != replication.Primary {
		return []string{}
	}
	b := c.plugins.Running(replication.DR)
	if b == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, failoverPatience)
	defer cancel()
	status, err := b.Status(ctx)
	if err != nil || status.State != replication.Running {
		return nil
	}
	return append([]string{}, status.FailoverAddrs...)
}
