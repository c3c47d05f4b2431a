// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// fetchMissing asks for keys that this cluster's storage has refused before, beside the
// stream. The host says when there is something to ask for. While nothing is missing the
// host is not called.
func (c *Client) fetchMissing(ctx context.Context, s *session) {
	streaming := c.streaming.Load()
	for {
		if c.status.missing() {
			_, err := c.ask(ctx, s, func(step *replication.DiffStep, _ bool) { c.status.fetched(step.Cursor) })
			switch {
			case err == nil:
			case replication.KindOf(err) == replication.PositionLost:
				streaming.interrupt(err)
			case ctx.Err() == nil:
				c.logger.Warn("what this cluster's storage had refused could not be fetched: it is tried again", "error", err)
			}
		}
		if pause.For(ctx, c.cfg.FetchEvery) != nil {
			return
		}
	}
}
