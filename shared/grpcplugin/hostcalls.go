// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"slices"

	"github.com/vault-replication/vault-replication/shared/mirror"
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
	return ask[replication.Node](ctx, c.link, c.rpc.Node, &replicationv1.NodeRequest{})
}

func (s *hostServer) Node(ctx context.Context, _ *replicationv1.NodeRequest) (*replicationv1.NodeResponse, error) {
	return reply[replicationv1.NodeResponse](s.host.Node(ctx))
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
	return tell(ctx, c.link, c.rpc.Listen, mirror.Message[replicationv1.ListenRequest](&req))
}

func (s *hostServer) Listen(ctx context.Context, req *replicationv1.ListenRequest) (
	*replicationv1.ListenResponse, error) {
	return done(&replicationv1.ListenResponse{}, s.host.Listen(ctx, *mirror.Value[replication.ListenRequest](req)))
}

func (c *hostClient) StopListening(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.StopListening, &replicationv1.StopListeningRequest{})
}

func (s *hostServer) StopListening(ctx context.Context, _ *replicationv1.StopListeningRequest) (
	*replicationv1.StopListeningResponse, error) {
	return done(&replicationv1.StopListeningResponse{}, s.host.StopListening(ctx))
}

func (c *hostClient) RoleAt(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	return ask[replication.RoleAtAnswer](ctx, c.link, c.rpc.RoleAt, &replicationv1.RoleAtRequest{ApiAddr: apiAddr})
}

func (s *hostServer) RoleAt(ctx context.Context, req *replicationv1.RoleAtRequest) (
	*replicationv1.RoleAtResponse, error) {
	return reply[replicationv1.RoleAtResponse](s.host.RoleAt(ctx, req.GetApiAddr()))
}

func (c *hostClient) Position(ctx context.Context, id string) (*replication.JournalPosition, error) {
	return ask[replication.JournalPosition](ctx, c.link, c.rpc.Position, &replicationv1.PositionRequest{Id: id})
}

func (s *hostServer) Position(ctx context.Context, req *replicationv1.PositionRequest) (
	*replicationv1.PositionResponse, error) {
	return reply[replicationv1.PositionResponse](s.host.Position(ctx, req.GetId()))
}

func (c *hostClient) OpenSlot(ctx context.Context, id string, secondary replication.Proof) (
	*replication.Opening, error) {
	return ask[replication.Opening](ctx, c.link, c.rpc.OpenSlot, &replicationv1.OpenSlotRequest{Id: id, Proof: secondary})
}

func (s *hostServer) OpenSlot(ctx context.Context, req *replicationv1.OpenSlotRequest) (
	*replicationv1.OpenSlotResponse, error) {
	return reply[replicationv1.OpenSlotResponse](s.host.OpenSlot(ctx, req.GetId(), req.GetProof()))
}

func (c *hostClient) AckSlot(ctx context.Context, id string, at replication.Position,
	secondary replication.Proof) error {
	return tell(ctx, c.link, c.rpc.AckSlot,
		&replicationv1.AckSlotRequest{Id: id, At: mirror.Message[commonv1.Position](&at), Proof: secondary})
}

func (s *hostServer) AckSlot(ctx context.Context, req *replicationv1.AckSlotRequest) (
	*replicationv1.AckSlotResponse, error) {
	at := mirror.Value[replication.Position](req.GetAt())
	return done(&replicationv1.AckSlotResponse{}, s.host.AckSlot(ctx, req.GetId(), *at, req.GetProof()))
}

func (c *hostClient) CloseSlot(ctx context.Context, id string) error {
	return tell(ctx, c.link, c.rpc.CloseSlot, &replicationv1.CloseSlotRequest{Id: id})
}

func (s *hostServer) CloseSlot(ctx context.Context, req *replicationv1.CloseSlotRequest) (
	*replicationv1.CloseSlotResponse, error) {
	return done(&replicationv1.CloseSlotResponse{}, s.host.CloseSlot(ctx, req.GetId()))
}

func (c *hostClient) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	res, err := call(ctx, c.link, c.rpc.ReadRange, mirror.Message[replicationv1.ReadRangeRequest](&req))
	if err != nil {
		return nil, err
	}
	return mirror.Value[replication.Range](res.GetRange()), nil
}

func (s *hostServer) ReadRange(ctx context.Context, req *replicationv1.ReadRangeRequest) (
	*replicationv1.ReadRangeResponse, error) {
	r, err := present[commonv1.Range](s.host.ReadRange(ctx, *mirror.Value[replication.ReadRangeRequest](req)))
	return done(&replicationv1.ReadRangeResponse{Range: r}, err)
}

func (c *hostClient) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	res, err := call(ctx, c.link, c.rpc.AnswerDiff, mirror.Message[replicationv1.AnswerDiffRequest](&req))
	return res.GetAnswer(), err
}

func (s *hostServer) AnswerDiff(ctx context.Context, req *replicationv1.AnswerDiffRequest) (
	*replicationv1.AnswerDiffResponse, error) {
	answer, err := s.host.AnswerDiff(ctx, *mirror.Value[replication.AnswerDiffRequest](req))
	return done(&replicationv1.AnswerDiffResponse{Answer: answer}, err)
}

func (c *hostClient) SealHandover(ctx context.Context, req replication.SealHandoverRequest) (
	*replication.Handover, error) {
	res, err := call(ctx, c.link, c.rpc.SealHandover, mirror.Message[replicationv1.SealHandoverRequest](&req))
	if err != nil {
		return nil, err
	}
	return mirror.Value[replication.Handover](res.GetHandover()), nil
}

func (s *hostServer) SealHandover(ctx context.Context, req *replicationv1.SealHandoverRequest) (
	*replicationv1.SealHandoverResponse, error) {
	h, err := present[replicationv1.Handover](
		s.host.SealHandover(ctx, *mirror.Value[replication.SealHandoverRequest](req)))
	return done(&replicationv1.SealHandoverResponse{Handover: h}, err)
}

func (c *hostClient) Cursor(ctx context.Context) (*replication.Cursor, error) {
	return ask[replication.Cursor](ctx, c.link, c.rpc.Cursor, &replicationv1.CursorRequest{})
}

func (s *hostServer) Cursor(ctx context.Context, _ *replicationv1.CursorRequest) (
	*replicationv1.CursorResponse, error) {
	return reply[replicationv1.CursorResponse](s.host.Cursor(ctx))
}

func (c *hostClient) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	return ask[replication.Cursor](ctx, c.link, c.rpc.BeginCopy,
		&replicationv1.BeginCopyRequest{From: mirror.Message[commonv1.Position](&from.Position), Proof: from.Proof})
}

func (s *hostServer) BeginCopy(ctx context.Context, req *replicationv1.BeginCopyRequest) (
	*replicationv1.CursorResponse, error) {
	from := mirror.Value[replication.Position](req.GetFrom())
	return reply[replicationv1.CursorResponse](
		s.host.BeginCopy(ctx, replication.Opening{Position: *from, Proof: req.GetProof()}))
}

func (c *hostClient) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	return ask[replication.Cursor](ctx, c.link, c.rpc.ApplyRange,
		&replicationv1.ApplyRangeRequest{Range: mirror.Message[commonv1.Range](r)})
}

func (s *hostServer) ApplyRange(ctx context.Context, req *replicationv1.ApplyRangeRequest) (
	*replicationv1.CursorResponse, error) {
	return reply[replicationv1.CursorResponse](
		s.host.ApplyRange(ctx, mirror.Value[replication.Range](req.GetRange())))
}

// Diff answers for a host that cannot compare, as if there were nothing to compare: a copy is less work, or no key is
// missing.
func (c *hostClient) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	if !slices.Contains(c.can, capabilityCompare) {
		cursor, err := c.Cursor(ctx)
		if err != nil {
			return nil, err
		}
		return &replication.DiffStep{Copy: cursor.Copying, Done: !cursor.Copying, Cursor: cursor}, nil
	}
	return ask[replication.DiffStep](ctx, c.link, c.rpc.Diff, &replicationv1.DiffRequest{Answer: answer})
}

func (s *hostServer) Diff(ctx context.Context, req *replicationv1.DiffRequest) (*replicationv1.DiffResponse, error) {
	return reply[replicationv1.DiffResponse](s.host.Diff(ctx, req.Answer))
}

func (c *hostClient) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	return tell(ctx, c.link, c.rpc.Verify, &replicationv1.VerifyRequest{At: mirror.Message[commonv1.Position](&at),
		Fingerprint: fingerprint, Proof: primary})
}

func (s *hostServer) Verify(ctx context.Context, req *replicationv1.VerifyRequest) (
	*replicationv1.VerifyResponse, error) {
	at := mirror.Value[replication.Position](req.GetAt())
	return done(&replicationv1.VerifyResponse{}, s.host.Verify(ctx, *at, req.GetFingerprint(), req.GetProof()))
}

func (c *hostClient) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return ask[replication.Cursor](ctx, c.link, c.rpc.EndCopy, &replicationv1.EndCopyRequest{})
}

func (s *hostServer) EndCopy(ctx context.Context, _ *replicationv1.EndCopyRequest) (
	*replicationv1.CursorResponse, error) {
	return reply[replicationv1.CursorResponse](s.host.EndCopy(ctx))
}

func (c *hostClient) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	return ask[replication.Cursor](ctx, c.link, c.rpc.ApplyFrame,
		&replicationv1.ApplyFrameRequest{Frame: mirror.Message[commonv1.Frame](f)})
}

func (s *hostServer) ApplyFrame(ctx context.Context, req *replicationv1.ApplyFrameRequest) (
	*replicationv1.CursorResponse, error) {
	return reply[replicationv1.CursorResponse](
		s.host.ApplyFrame(ctx, mirror.Value[replication.Frame](req.GetFrame())))
}
