// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Diff implements link.v1. Only one may run at a time. It may run beside a Stream, because a secondary then asks for
// keys that its storage has refused.
func (s *Server) Diff(ctx context.Context, req *linkv1.DiffRequest) (*linkv1.DiffResponse, error) {
	pc, _, err := s.sessions.of(ctx)
	if err != nil {
		return nil, err
	}
	done, err := pc.beginComparing()
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := s.host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: pc.id, Question: req.GetQuestion()})
	if err != nil {
		return nil, err
	}
	return &linkv1.DiffResponse{Answer: answer}, nil
}

// beginComparing claims the connection for a Diff until the returned function is called.
func (c *peerConn) beginComparing() (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.comparing {
		return nil, errStreams
	}
	c.comparing = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.comparing = false
	}, nil
}
