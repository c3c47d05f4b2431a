// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forward implements link.v1. The host learns the secondary from the certificate,
// not from what the secondary says.
func (s *Server) Forward(ctx context.Context, req *linkv1.ForwardRequest) (*linkv1.ForwardResponse, error) {
	pc, ps, err := s.session(ctx)
	if err != nil {
		return nil, err
	}
	leave, err := ps.forwards.Enter(len(req.GetPayload()))
	if err != nil {
		return nil, err
	}
	defer leave()
	// On a slow link a heartbeat may be stuck behind what has just arrived.
	pc.expect(s.cfg.LossAfter)
	res, err := s.host.Receive(ctx, replication.ReceiveRequest{SecondaryID: pc.id, Payload: req.GetPayload()})
	if err != nil {
		return nil, err
	}
	if n := len(res.Payload); n > replication.PayloadMax {
		return nil, replication.Errorf(replication.Uncertain, "the request was carried out, but its answer has %d bytes, %d are allowed", n, replication.PayloadMax)
	}
	return &linkv1.ForwardResponse{Payload: res.Payload}, nil
}
