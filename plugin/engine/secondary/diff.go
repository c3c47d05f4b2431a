// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// diff carries questions and answers between the two hosts until this cluster has
// what its primary has. done is false when a copy is less work.
func (c *Client) diff(ctx context.Context, s *session, progressed *bool) (done bool, err error) {
	step, err := c.host.Diff(ctx, nil)
	for err == nil {
		s.cursor = step.Cursor
		if step.Done || step.Copy {
			return step.Done, nil
		}
		if n := len(step.Question); n == 0 || n > link.RequestMax {
			return false, replication.Errorf(replication.Internal, "the host asks a question of %d bytes, 1 to %d are possible", n, link.RequestMax)
		}
		c.status.comparing(step)
		var resp *linkv1.DiffResponse
		if resp, err = s.link.Diff(ctx, &linkv1.DiffRequest{Question: step.Question}); err != nil {
			return false, link.FromStatus(err)
		}
		if n := len(resp.GetAnswer()); n == 0 || n > replication.PayloadMax {
			return false, replication.Errorf(replication.InvalidInput, "the primary answered a comparison with %d bytes, 1 to %d are possible", n, replication.PayloadMax)
		}
		if step, err = c.host.Diff(ctx, resp.GetAnswer()); err == nil {
			*progressed = true
		}
	}
	return false, ownError(err)
}
