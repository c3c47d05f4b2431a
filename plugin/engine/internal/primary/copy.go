// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Copy implements link.v1. The stream's flow control holds it back, so that it reads no
// more than the window ahead of the secondary.
func (s *Server) Copy(req *linkv1.CopyRequest, st grpc.ServerStreamingServer[linkv1.CopyResponse]) error {
	ctx := st.Context()
	pc, _, err := s.sessions.of(ctx)
	if err != nil {
		return err
	}
	if len(req.GetAfter()) > link.KeyMax {
		return replication.Errorf(replication.InvalidInput, "the name of the key to copy after has %d bytes, %d are allowed",
			len(req.GetAfter()), link.KeyMax)
	}
	if err := link.CheckProof(req.GetProof()); err != nil {
		return err
	}
	ctx, _, done, err := pc.beginStreaming(ctx)
	if err != nil {
		return err
	}
	defer done()
	for after := string(req.GetAfter()); ; {
		r, err := s.host.ReadRange(ctx, replication.ReadRangeRequest{After: after, SlotID: pc.id, Proof: req.GetProof()})
		if err != nil {
			return err
		}
		// A range that does not continue the one before would make a loop or a hole.
		if err := link.CheckRange(r, after); err != nil {
			return replication.Errorf(replication.Internal, "the primary's storage was read wrongly: %w", err)
		}
		if err := st.Send(&linkv1.CopyResponse{Range: mirror.Message[commonv1.Range](r)}); err != nil {
			return err
		}
		if r.Last {
			return nil
		}
		after = r.UpTo
	}
}
