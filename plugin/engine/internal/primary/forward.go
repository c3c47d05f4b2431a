// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"google.golang.org/grpc"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forward implements link.v1. The host learns the secondary from the certificate,
// not from what the secondary says.
func (s *Server) Forward(ctx context.Context, req *linkv1.ForwardRequest) (*linkv1.ForwardResponse, error) {
	pc, ps, err := s.sessions.of(ctx)
	if err != nil {
		return nil, err
	}
	leave, err := ps.forwards.Enter(len(req.GetPayload()))
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.forward(ctx, pc, req.GetPayload())
}

// ForwardLarge implements link.v1.
func (s *Server) ForwardLarge(
	stream grpc.ClientStreamingServer[linkv1.ForwardLargeRequest, linkv1.ForwardResponse]) error {
	pc, ps, err := s.sessions.of(stream.Context())
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	size := first.GetSize()
	leave, err := ps.forwards.Enter(int(min(size, replication.PayloadMax+1)))
	if err != nil {
		return err
	}
	defer leave()
	payload := first.GetPart()
	for uint64(len(payload)) < size {
		// The buffer grows with what arrives: a size that is only claimed takes no memory.
		next, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(next.GetPart()) == 0 {
			return replication.Errorf(replication.InvalidInput, "a part of a forwarded request is empty")
		}
		payload = append(payload, next.GetPart()...)
		pc.expect(s.cfg.LossAfter)
	}
	if uint64(len(payload)) > size {
		return replication.Errorf(replication.InvalidInput, "a forwarded request of %d bytes has more than that", size)
	}
	res, err := s.forward(stream.Context(), pc, payload)
	if err != nil {
		return err
	}
	return stream.SendAndClose(res)
}

func (s *Server) forward(ctx context.Context, pc *peerConn, payload []byte) (*linkv1.ForwardResponse, error) {
	// On a slow link a heartbeat may be stuck behind what has just arrived.
	pc.expect(s.cfg.LossAfter)
	res, err := s.host.Receive(ctx, replication.ReceiveRequest{SecondaryID: pc.id, Payload: payload})
	if err != nil {
		return nil, err
	}
	if n := len(res.Payload); n > replication.PayloadMax {
		return nil, replication.Errorf(replication.Uncertain, "the request was carried out, but its answer has %d bytes, "+
			"%d are allowed", n, replication.PayloadMax)
	}
	return &linkv1.ForwardResponse{Payload: res.Payload}, nil
}
