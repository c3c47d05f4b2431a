// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"io"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// hostServer serves the host's implementation to a plugin.
type hostServer struct {
	replicationv1.UnimplementedHostServer
	host replication.Host
}

// done turns a result that is only an error into that of a handler.
func done[Res any](res *Res, err error) (*Res, error) {
	if err != nil {
		return nil, toStatus(err)
	}
	return res, nil
}

func (s *hostServer) Node(ctx context.Context, _ *replicationv1.NodeRequest) (*replicationv1.NodeResponse, error) {
	n, err := s.host.Node(ctx)
	if err == nil && n == nil {
		err = missing("node")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return toNode(n), nil
}

func (s *hostServer) GetState(ctx context.Context, req *replicationv1.GetStateRequest) (*replicationv1.GetStateResponse,
	error) {
	if err := checkStateKey(req.GetKey()); err != nil {
		return nil, toStatus(err)
	}
	value, err := s.host.GetState(ctx, req.GetKey())
	return done(&replicationv1.GetStateResponse{Value: value}, err)
}

func (s *hostServer) PutState(ctx context.Context, req *replicationv1.PutStateRequest) (*replicationv1.PutStateResponse,
	error) {
	if err := checkState(req.GetKey(), req.GetValue()); err != nil {
		return nil, toStatus(err)
	}
	return done(&replicationv1.PutStateResponse{}, s.host.PutState(ctx, req.GetKey(), req.GetValue()))
}

func (s *hostServer) DeleteState(ctx context.Context, req *replicationv1.DeleteStateRequest) (
	*replicationv1.DeleteStateResponse, error) {
	if err := checkStateKey(req.GetKey()); err != nil {
		return nil, toStatus(err)
	}
	return done(&replicationv1.DeleteStateResponse{}, s.host.DeleteState(ctx, req.GetKey()))
}

func (s *hostServer) ListState(ctx context.Context, req *replicationv1.ListStateRequest) (
	*replicationv1.ListStateResponse, error) {
	keys, err := s.host.ListState(ctx, req.GetPrefix())
	return done(&replicationv1.ListStateResponse{Keys: keys}, err)
}

func (s *hostServer) Listen(ctx context.Context, req *replicationv1.ListenRequest) (*replicationv1.ListenResponse,
	error) {
	return done(&replicationv1.ListenResponse{},
		s.host.Listen(ctx, replication.ListenRequest{CACert: req.GetCaCert(), Cert: req.GetCert(), Key: req.GetKey()}))
}

func (s *hostServer) StopListening(ctx context.Context, _ *replicationv1.StopListeningRequest) (
	*replicationv1.StopListeningResponse, error) {
	return done(&replicationv1.StopListeningResponse{}, s.host.StopListening(ctx))
}

func (s *hostServer) Dial(stream replicationv1.Host_DialServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	target := first.GetTarget()
	if target == nil {
		return toStatus(replication.Errorf(replication.InvalidInput, "the first message of Dial does not say whom to "+
			"connect to"))
	}
	ctx := stream.Context()
	conn, err := s.host.Dial(ctx, replication.DialRequest{
		Address: target.GetAddress(), CACert: target.GetCaCert(), ServerName: target.GetServerName(), Cert: target.GetCert(),
		Key: target.GetKey(),
	})
	if err == nil && conn == nil {
		err = missing("connection")
	}
	if err != nil {
		return toStatus(err)
	}
	err = stream.Send(&replicationv1.DialResponse{Message: &replicationv1.DialResponse_Connected{
		Connected: &replicationv1.Connected{
			LocalAddr: conn.LocalAddr().String(), RemoteAddr: conn.RemoteAddr().String(),
		}}})
	if err != nil {
		conn.Close()
		return err
	}
	return tunnel.Splice(ctx, dialServerChunks(stream), conn)
}

func (s *hostServer) RoleAt(ctx context.Context, req *replicationv1.RoleAtRequest) (*replicationv1.RoleAtResponse,
	error) {
	a, err := s.host.RoleAt(ctx, req.GetApiAddr())
	if err == nil && a == nil {
		err = missing("role")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &replicationv1.RoleAtResponse{Role: string(a.Role), ClusterId: a.ClusterID, SecondaryId: a.SecondaryID}, nil
}

func (s *hostServer) Position(ctx context.Context, req *replicationv1.PositionRequest) (*replicationv1.PositionResponse,
	error) {
	p, err := s.host.Position(ctx, req.GetId())
	if err == nil && p == nil {
		err = missing("position")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &replicationv1.PositionResponse{Position: commonv1.OfPosition(p.Position), Fingerprint: p.Fingerprint,
		Keys: p.Keys, Proof: p.Proof}, nil
}

func (s *hostServer) OpenSlot(ctx context.Context, req *replicationv1.OpenSlotRequest) (*replicationv1.OpenSlotResponse,
	error) {
	if err := checkProof(req.GetProof()); err != nil {
		return nil, toStatus(err)
	}
	o, err := s.host.OpenSlot(ctx, req.GetId(), req.GetProof())
	if err == nil && o == nil {
		err = missing("position")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &replicationv1.OpenSlotResponse{Position: commonv1.OfPosition(o.Position), Proof: o.Proof}, nil
}

func (s *hostServer) AckSlot(ctx context.Context, req *replicationv1.AckSlotRequest) (*replicationv1.AckSlotResponse,
	error) {
	if err := checkProof(req.GetProof()); err != nil {
		return nil, toStatus(err)
	}
	return done(&replicationv1.AckSlotResponse{}, s.host.AckSlot(ctx, req.GetId(), req.GetAt().Value(), req.GetProof()))
}

func (s *hostServer) CloseSlot(ctx context.Context, req *replicationv1.CloseSlotRequest) (
	*replicationv1.CloseSlotResponse, error) {
	return done(&replicationv1.CloseSlotResponse{}, s.host.CloseSlot(ctx, req.GetId()))
}

func (s *hostServer) ReadJournal(stream replicationv1.Host_ReadJournalServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	req := first.GetStart()
	if req == nil {
		return toStatus(replication.Errorf(replication.InvalidInput, "the first message of ReadJournal does not say where "+
			"to begin"))
	}
	if err := checkProof(req.GetProof()); err != nil {
		return toStatus(err)
	}
	reader, err := s.host.ReadJournal(stream.Context(), replication.ReadJournalRequest{
		SlotID: req.GetSlotId(), After: req.GetAfter().Value(), Proof: req.GetProof(),
	})
	if err == nil && reader == nil {
		err = missing("journal")
	}
	if err != nil {
		return toStatus(err)
	}
	defer reader.Close()
	// Tells the caller that it may rely on the position before there is a frame.
	if err := stream.Send(&replicationv1.ReadJournalResponse{}); err != nil {
		return err
	}
	for {
		// Frames are read when they are wanted. A frame that is read early would have one
		// row, and the rows that come meanwhile one frame each.
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.GetNext() == nil:
			return toStatus(replication.Errorf(replication.InvalidInput, "ReadJournal goes on with requests for a frame alone"))
		}
		f, err := reader.Next()
		if err == nil && f == nil {
			err = missing("frame")
		}
		if err == nil {
			err = checkPayload("frame", f.Payload)
		}
		if err != nil {
			return toStatus(err)
		}
		if err := stream.Send(&replicationv1.ReadJournalResponse{Frame: commonv1.OfFrame(f)}); err != nil {
			return err
		}
	}
}

func (s *hostServer) ReadRange(ctx context.Context, req *replicationv1.ReadRangeRequest) (
	*replicationv1.ReadRangeResponse, error) {
	if err := checkProof(req.GetProof()); err != nil {
		return nil, toStatus(err)
	}
	r, err := s.host.ReadRange(ctx, replication.ReadRangeRequest{After: string(req.GetAfter()), SlotID: req.GetSlotId(),
		Proof: req.GetProof()})
	if err == nil && r == nil {
		err = missing("range")
	}
	if err == nil {
		err = checkPayload("range", r.Payload)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &replicationv1.ReadRangeResponse{Range: commonv1.OfRange(r)}, nil
}

func (s *hostServer) AnswerDiff(ctx context.Context, req *replicationv1.AnswerDiffRequest) (
	*replicationv1.AnswerDiffResponse, error) {
	answer, err := s.host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: req.GetSlotId(),
		Question: req.GetQuestion()})
	if err == nil {
		err = checkPayload("answer", answer)
	}
	return done(&replicationv1.AnswerDiffResponse{Answer: answer}, err)
}

func (s *hostServer) SealHandover(ctx context.Context, req *replicationv1.SealHandoverRequest) (
	*replicationv1.SealHandoverResponse, error) {
	h, err := s.host.SealHandover(ctx, replication.SealHandoverRequest{SecondaryID: req.GetSecondaryId(),
		Challenge: req.GetChallenge()})
	if err == nil && h == nil {
		err = missing("handover")
	}
	return done(&replicationv1.SealHandoverResponse{Handover: toHandover(h)}, err)
}

func cursorAnswer(c *replication.Cursor, err error) (*replicationv1.CursorResponse, error) {
	if err == nil && c == nil {
		err = missing("cursor")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return toCursor(c), nil
}

func (s *hostServer) Cursor(ctx context.Context, _ *replicationv1.CursorRequest) (*replicationv1.CursorResponse,
	error) {
	return cursorAnswer(s.host.Cursor(ctx))
}

func (s *hostServer) BeginCopy(ctx context.Context, req *replicationv1.BeginCopyRequest) (*replicationv1.CursorResponse,
	error) {
	if err := checkProof(req.GetProof()); err != nil {
		return nil, toStatus(err)
	}
	return cursorAnswer(s.host.BeginCopy(ctx, replication.Opening{Position: req.GetFrom().Value(), Proof: req.GetProof()}))
}

func (s *hostServer) ApplyRange(ctx context.Context, req *replicationv1.ApplyRangeRequest) (
	*replicationv1.CursorResponse, error) {
	if err := errors.Join(checkPayload("range", req.GetRange().GetPayload()),
		checkProof(req.GetRange().GetProof())); err != nil {
		return nil, toStatus(err)
	}
	return cursorAnswer(s.host.ApplyRange(ctx, req.GetRange().Value()))
}

func (s *hostServer) Diff(ctx context.Context, req *replicationv1.DiffRequest) (*replicationv1.DiffResponse, error) {
	if err := checkPayload("answer", req.Answer); err != nil {
		return nil, toStatus(err)
	}
	step, err := s.host.Diff(ctx, req.Answer)
	if err == nil && (step == nil || step.Cursor == nil) {
		err = missing("step of a comparison")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return toDiffStep(step), nil
}

func (s *hostServer) Verify(ctx context.Context, req *replicationv1.VerifyRequest) (*replicationv1.VerifyResponse,
	error) {
	if err := checkProof(req.GetProof()); err != nil {
		return nil, toStatus(err)
	}
	return done(&replicationv1.VerifyResponse{}, s.host.Verify(ctx, req.GetAt().Value(), req.GetFingerprint(),
		req.GetProof()))
}

func (s *hostServer) EndCopy(ctx context.Context, _ *replicationv1.EndCopyRequest) (*replicationv1.CursorResponse,
	error) {
	return cursorAnswer(s.host.EndCopy(ctx))
}

func (s *hostServer) ApplyFrame(ctx context.Context, req *replicationv1.ApplyFrameRequest) (
	*replicationv1.CursorResponse, error) {
	if err := errors.Join(checkPayload("frame", req.GetFrame().GetPayload()),
		checkProof(req.GetFrame().GetProof())); err != nil {
		return nil, toStatus(err)
	}
	return cursorAnswer(s.host.ApplyFrame(ctx, req.GetFrame().Value()))
}
