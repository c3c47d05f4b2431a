// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// diff carries questions and answers between the two hosts until this cluster has what its
// primary has. Done is false when a copy is less work.
func (c *Client) diff(ctx context.Context, s *session, progressed *bool) (done bool, err error) {
	last, err := c.ask(ctx, s, func(step *replication.DiffStep, answered bool) {
		s.cursor = step.Cursor
		*progressed = *progressed || answered
		if !step.Done && !step.Copy {
			c.status.comparing(step)
		}
	})
	return err == nil && last.Done, err
}

// ask carries questions and answers between the two hosts until this end's host has no
// question left. It tells each step, and whether a question was answered before it.
func (c *Client) ask(ctx context.Context, s *session, tell func(step *replication.DiffStep, answered bool)) (
	*replication.DiffStep, error) {
	var answer []byte
	for {
		step, err := c.host.Diff(ctx, answer)
		if err != nil {
			return nil, ownError(err)
		}
		tell(step, answer != nil)
		if step.Done || step.Copy {
			return step, nil
		}
		if n := len(step.Question); n == 0 || n > link.RequestMax {
			return nil, replication.Errorf(replication.Internal, "the host asks a question of %d bytes, 1 to %d are possible", n,
				link.RequestMax)
		}
		resp, err := s.link.Diff(ctx, &linkv1.DiffRequest{Question: step.Question})
		if err != nil {
			return nil, link.FromStatus(err)
		}
		answer = resp.GetAnswer()
		if n := len(answer); n == 0 || n > replication.PayloadMax {
			return nil, replication.Errorf(replication.InvalidInput, "the primary answered a comparison with %d bytes, 1 to "+
				"%d are possible", n, replication.PayloadMax)
		}
	}
}
