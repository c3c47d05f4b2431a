// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"slices"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// hostClient is the plugin's view of the host.
type hostClient struct {
	rpc  replicationv1.HostClient
	conn *hostConn
	link link
	can  []string // the host's capabilities
}

var _ replication.Host = (*hostClient)(nil)

// hostServer serves the host's implementation to a plugin. Its requests are checked before they get here.
type hostServer struct {
	replicationv1.UnimplementedHostServer
	host replication.Host
}

func (c *hostClient) Node(ctx context.Context) (*replication.Node, error) {
	return ask(ctx, c.link, c.rpc.Node, &replicationv1.NodeRequest{}, fromNode)
}

func (s *hostServer) Node(ctx context.Context, _ *replicationv1.NodeRequest) (*replicationv1.NodeResponse, error) {
	n, err := s.host.Node(ctx)
	return reply("node", toNode, n, err)
}

func (c *hostClient) GetState(ctx context.Context, key string) ([]byte, error) {
	res, err := call(ctx, c.link, c.rpc.GetState, &replicationv1.GetStateRequest{Key: key})
	if err != nil {
		return nil, err
	}
	return res.Value, nil // absent is nil, empty is not
}

func (s *hostServer) GetState(ctx context.Context, req *replicationv1.GetStateRequest) (
	*replicationv1.GetStateResponse, error) {
	value, err := s.host.GetState(ctx, req.GetKey())
	return done(&replicationv1.GetStateResponse{Value: value}, err)
}

func (c *hostClient) PutState(ctx context.Context, key string, value []byte) error {
	return tell(ctx, c.link, c.rpc.PutState, &replicationv1.PutStateRequest{Key: key, Value: value})
}

func (s *hostServer) PutState(ctx context.Context, req *replicationv1.PutStateRequest) (
	*replicationv1.PutStateResponse, error) {
	return done(&replicationv1.PutStateResponse{}, s.host.PutState(ctx, req.GetKey(), req.GetValue()))
}

func (c *hostClient) DeleteState(ctx context.Context, key string) error {
	return tell(ctx, c.link, c.rpc.DeleteState, &replicationv1.DeleteStateRequest{Key: key})
}

func (s *hostServer) DeleteState(ctx context.Context, req *replicationv1.DeleteStateRequest) (
	*replicationv1.DeleteStateResponse, error) {
	return done(&replicationv1.DeleteStateResponse{}, s.host.DeleteState(ctx, req.GetKey()))
}

func (c *hostClient) ListState(ctx context.Context, prefix string) ([]string, error) {
	res, err := call(ctx, c.link, c.rpc.ListState, &replicationv1.ListStateRequest{Prefix: prefix})
	return res.GetKeys(), err
}

func (s *hostServer) ListState(ctx context.Context, req *replicationv1.ListStateRequest) (
	*replicationv1.ListStateResponse, error) {
	keys, err := s.host.ListState(ctx, req.GetPrefix())
	return done(&replicationv1.ListStateResponse{Keys: keys}, err)
}

func (c *hostClient) Listen(ctx context.Context, req replication.ListenRequest) error {
	return tell(ctx, c.link, c.rpc.Listen,
		&replicationv1.ListenRequest{CaCert: req.CACert, Cert: req.Cert, Key: req.Key})
}

func (s *hostServer) Listen(ctx context.Context, req *replicationv1.ListenRequest) (
	*replicationv1.ListenResponse, error) {
	return done(&replicationv1.ListenResponse{},
		s.host.Listen(ctx, replication.ListenRequest{CACert: req.GetCaCert(), Cert: req.GetCert(), Key: req.GetKey()}))
}

func (c *hostClient) StopListening(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.StopListening, &replicationv1.StopListeningRequest{})
}

func (s *hostServer) StopListening(ctx context.Context, _ *replicationv1.StopListeningRequest) (
	*replicationv1.StopListeningResponse, error) {
	return done(&replicationv1.StopListeningResponse{}, s.host.StopListening(ctx))
}

func (c *hostClient) RoleAt(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	return ask(ctx, c.link, c.rpc.RoleAt, &replicationv1.RoleAtRequest{ApiAddr: apiAddr}, fromRoleAt)
}

func (s *hostServer) RoleAt(ctx context.Context, req *replicationv1.RoleAtRequest) (
	*replicationv1.RoleAtResponse, error) {
	a, err := s.host.RoleAt(ctx, req.GetApiAddr())
	return reply("role", toRoleAt, a, err)
}

func (c *hostClient) Position(ctx context.Context, id string) (*replication.JournalPosition, error) {
	return ask(ctx, c.link, c.rpc.Position, &replicationv1.PositionRequest{Id: id}, fromJournalPosition)
}

func (s *hostServer) Position(ctx context.Context, req *replicationv1.PositionRequest) (
	*replicationv1.PositionResponse, error) {
	p, err := s.host.Position(ctx, req.GetId())
	return reply("position", toJournalPosition, p, err)
}

func (c *hostClient) OpenSlot(ctx context.Context, id string, secondary replication.Proof) (
	*replication.Opening, error) {
	return ask(ctx, c.link, c.rpc.OpenSlot, &replicationv1.OpenSlotRequest{Id: id, Proof: secondary}, fromOpening)
}

func (s *hostServer) OpenSlot(ctx context.Context, req *replicationv1.OpenSlotRequest) (
	*replicationv1.OpenSlotResponse, error) {
	o, err := s.host.OpenSlot(ctx, req.GetId(), req.GetProof())
	return reply("position", toOpening, o, err)
}

func (c *hostClient) AckSlot(ctx context.Context, id string, at replication.Position,
	secondary replication.Proof) error {
	return tell(ctx, c.link, c.rpc.AckSlot,
		&replicationv1.AckSlotRequest{Id: id, At: commonv1.OfPosition(at), Proof: secondary})
}

func (s *hostServer) AckSlot(ctx context.Context, req *replicationv1.AckSlotRequest) (
	*replicationv1.AckSlotResponse, error) {
	return done(&replicationv1.AckSlotResponse{},
		s.host.AckSlot(ctx, req.GetId(), req.GetAt().Value(), req.GetProof()))
}

func (c *hostClient) CloseSlot(ctx context.Context, id string) error {
	return tell(ctx, c.link, c.rpc.CloseSlot, &replicationv1.CloseSlotRequest{Id: id})
}

func (s *hostServer) CloseSlot(ctx context.Context, req *replicationv1.CloseSlotRequest) (
	*replicationv1.CloseSlotResponse, error) {
	return done(&replicationv1.CloseSlotResponse{}, s.host.CloseSlot(ctx, req.GetId()))
}

func (c *hostClient) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	return ask(ctx, c.link, c.rpc.ReadRange,
		&replicationv1.ReadRangeRequest{After: []byte(req.After), SlotId: req.SlotID, Proof: req.Proof},
		func(res *replicationv1.ReadRangeResponse) *replication.Range { return res.GetRange().Value() })
}

func (s *hostServer) ReadRange(ctx context.Context, req *replicationv1.ReadRangeRequest) (
	*replicationv1.ReadRangeResponse, error) {
	r, err := s.host.ReadRange(ctx, replication.ReadRangeRequest{After: string(req.GetAfter()), SlotID: req.GetSlotId(),
		Proof: req.GetProof()})
	return reply("range", func(r *replication.Range) *replicationv1.ReadRangeResponse {
		return &replicationv1.ReadRangeResponse{Range: commonv1.OfRange(r)}
	}, r, err)
}

func (c *hostClient) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	res, err := call(ctx, c.link, c.rpc.AnswerDiff,
		&replicationv1.AnswerDiffRequest{SlotId: req.SlotID, Question: req.Question})
	if err != nil {
		return nil, err
	}
	return res.GetAnswer(), nil
}

func (s *hostServer) AnswerDiff(ctx context.Context, req *replicationv1.AnswerDiffRequest) (
	*replicationv1.AnswerDiffResponse, error) {
	answer, err := s.host.AnswerDiff(ctx,
		replication.AnswerDiffRequest{SlotID: req.GetSlotId(), Question: req.GetQuestion()})
	return done(&replicationv1.AnswerDiffResponse{Answer: answer}, err)
}

func (c *hostClient) SealHandover(ctx context.Context, req replication.SealHandoverRequest) (
	*replication.Handover, error) {
	return ask(ctx, c.link, c.rpc.SealHandover,
		&replicationv1.SealHandoverRequest{SecondaryId: req.SecondaryID, Challenge: req.Challenge},
		func(res *replicationv1.SealHandoverResponse) *replication.Handover {
			return &replication.Handover{Sealed: res.GetHandover().GetSealed()}
		})
}

func (s *hostServer) SealHandover(ctx context.Context, req *replicationv1.SealHandoverRequest) (
	*replicationv1.SealHandoverResponse, error) {
	h, err := s.host.SealHandover(ctx,
		replication.SealHandoverRequest{SecondaryID: req.GetSecondaryId(), Challenge: req.GetChallenge()})
	return reply("handover", func(h *replication.Handover) *replicationv1.SealHandoverResponse {
		return &replicationv1.SealHandoverResponse{Handover: toHandover(h)}
	}, h, err)
}

func (c *hostClient) Cursor(ctx context.Context) (*replication.Cursor, error) {
	return ask(ctx, c.link, c.rpc.Cursor, &replicationv1.CursorRequest{}, fromCursor)
}

// cursorReply makes the result of the handlers that answer with the cursor.
func cursorReply(c *replication.Cursor, err error) (*replicationv1.CursorResponse, error) {
	return reply("cursor", toCursor, c, err)
}

func (s *hostServer) Cursor(ctx context.Context, _ *replicationv1.CursorRequest) (
	*replicationv1.CursorResponse, error) {
	return cursorReply(s.host.Cursor(ctx))
}

func (c *hostClient) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	return ask(ctx, c.link, c.rpc.BeginCopy,
		&replicationv1.BeginCopyRequest{From: commonv1.OfPosition(from.Position), Proof: from.Proof}, fromCursor)
}

func (s *hostServer) BeginCopy(ctx context.Context, req *replicationv1.BeginCopyRequest) (
	*replicationv1.CursorResponse, error) {
	return cursorReply(s.host.BeginCopy(ctx, replication.Opening{Position: req.GetFrom().Value(), Proof: req.GetProof()}))
}

func (c *hostClient) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	return ask(ctx, c.link, c.rpc.ApplyRange, &replicationv1.ApplyRangeRequest{Range: commonv1.OfRange(r)}, fromCursor)
}

func (s *hostServer) ApplyRange(ctx context.Context, req *replicationv1.ApplyRangeRequest) (
	*replicationv1.CursorResponse, error) {
	return cursorReply(s.host.ApplyRange(ctx, req.GetRange().Value()))
}

// Diff says for a host that cannot compare what that host would say where there is nothing to compare: that a copy is
// less work, or that no key is missing.
func (c *hostClient) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	if !slices.Contains(c.can, capabilityCompare) {
		cursor, err := c.Cursor(ctx)
		if err != nil {
			return nil, err
		}
		return &replication.DiffStep{Copy: cursor.Copying, Done: !cursor.Copying, Cursor: cursor}, nil
	}
	return ask(ctx, c.link, c.rpc.Diff, &replicationv1.DiffRequest{Answer: answer}, fromDiffStep)
}

func (s *hostServer) Diff(ctx context.Context, req *replicationv1.DiffRequest) (*replicationv1.DiffResponse, error) {
	step, err := s.host.Diff(ctx, req.Answer)
	if err == nil && step != nil && step.Cursor == nil {
		err = missing("cursor")
	}
	return reply("step of a comparison", toDiffStep, step, err)
}

func (c *hostClient) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	return tell(ctx, c.link, c.rpc.Verify,
		&replicationv1.VerifyRequest{At: commonv1.OfPosition(at), Fingerprint: fingerprint, Proof: primary})
}

func (s *hostServer) Verify(ctx context.Context, req *replicationv1.VerifyRequest) (
	*replicationv1.VerifyResponse, error) {
	return done(&replicationv1.VerifyResponse{},
		s.host.Verify(ctx, req.GetAt().Value(), req.GetFingerprint(), req.GetProof()))
}

func (c *hostClient) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return ask(ctx, c.link, c.rpc.EndCopy, &replicationv1.EndCopyRequest{}, fromCursor)
}

func (s *hostServer) EndCopy(ctx context.Context, _ *replicationv1.EndCopyRequest) (
	*replicationv1.CursorResponse, error) {
	return cursorReply(s.host.EndCopy(ctx))
}

func (c *hostClient) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	return ask(ctx, c.link, c.rpc.ApplyFrame, &replicationv1.ApplyFrameRequest{Frame: commonv1.OfFrame(f)}, fromCursor)
}

func (s *hostServer) ApplyFrame(ctx context.Context, req *replicationv1.ApplyFrameRequest) (
	*replicationv1.CursorResponse, error) {
	return cursorReply(s.host.ApplyFrame(ctx, req.GetFrame().Value()))
}
