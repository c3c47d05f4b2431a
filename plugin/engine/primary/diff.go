// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Diff implements link.v1.
func (s *Server) Diff(ctx context.Context, req *linkv1.DiffRequest) (*linkv1.DiffResponse, error) {
	pc, _, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := pc.beginStreaming(); err != nil {
		return nil, err
	}
	defer pc.endStreaming()
	answer, err := s.host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: pc.id, Question: req.GetQuestion()})
	if err != nil {
		return nil, err
	}
	return &linkv1.DiffResponse{Answer: answer}, nil
}
