// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// hostClient is the plugin's view of the host.
type hostClient struct {
	rpc  replicationv1.HostClient
	conn *hostConn
	link link
}

var _ replication.Host = (*hostClient)(nil)

func (c *hostClient) Node(ctx context.Context) (*replication.Node, error) {
	res, err := call(ctx, c.link, c.rpc.Node, &replicationv1.NodeRequest{})
	if err != nil {
		return nil, err
	}
	return fromNode(res), nil
}

func (c *hostClient) GetState(ctx context.Context, key string) ([]byte, error) {
	if err := checkStateKey(key); err != nil {
		return nil, err
	}
	res, err := call(ctx, c.link, c.rpc.GetState, &replicationv1.GetStateRequest{Key: key})
	if err != nil {
		return nil, err
	}
	return res.Value, nil // absent is nil, empty is not
}

func (c *hostClient) PutState(ctx context.Context, key string, value []byte) error {
	if err := checkState(key, value); err != nil {
		return err
	}
	_, err := call(ctx, c.link, c.rpc.PutState, &replicationv1.PutStateRequest{Key: key, Value: value})
	return err
}

func (c *hostClient) DeleteState(ctx context.Context, key string) error {
	if err := checkStateKey(key); err != nil {
		return err
	}
	_, err := call(ctx, c.link, c.rpc.DeleteState, &replicationv1.DeleteStateRequest{Key: key})
	return err
}

func (c *hostClient) ListState(ctx context.Context, prefix string) ([]string, error) {
	res, err := call(ctx, c.link, c.rpc.ListState, &replicationv1.ListStateRequest{Prefix: prefix})
	if err != nil {
		return nil, err
	}
	return res.GetKeys(), nil
}

func (c *hostClient) Listen(ctx context.Context, req replication.ListenRequest) error {
	_, err := call(ctx, c.link, c.rpc.Listen, &replicationv1.ListenRequest{CaCert: req.CACert, Cert: req.Cert,
		Key: req.Key})
	return err
}

func (c *hostClient) StopListening(ctx context.Context) error {
	_, err := call(ctx, c.link, c.rpc.StopListening, &replicationv1.StopListeningRequest{})
	return err
}

func (c *hostClient) RoleAt(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	res, err := call(ctx, c.link, c.rpc.RoleAt, &replicationv1.RoleAtRequest{ApiAddr: apiAddr})
	if err != nil {
		return nil, err
	}
	return &replication.RoleAtAnswer{Role: replication.Role(res.GetRole()), ClusterID: res.GetClusterId(),
		SecondaryID: res.GetSecondaryId()}, nil
}

func (c *hostClient) Position(ctx context.Context, id string) (*replication.JournalPosition, error) {
	res, err := call(ctx, c.link, c.rpc.Position, &replicationv1.PositionRequest{Id: id})
	if err != nil {
		return nil, err
	}
	return &replication.JournalPosition{Position: res.GetPosition().Value(), Fingerprint: res.GetFingerprint(),
		Keys: res.GetKeys(), Proof: res.GetProof()}, nil
}

func (c *hostClient) OpenSlot(ctx context.Context, id string, secondary replication.Proof) (*replication.Opening,
	error) {
	if err := checkProof(secondary); err != nil {
		return nil, err
	}
	res, err := call(ctx, c.link, c.rpc.OpenSlot, &replicationv1.OpenSlotRequest{Id: id, Proof: secondary})
	if err != nil {
		return nil, err
	}
	return &replication.Opening{Position: res.GetPosition().Value(), Proof: res.GetProof()}, nil
}

func (c *hostClient) AckSlot(ctx context.Context, id string, at replication.Position,
	secondary replication.Proof) error {
	if err := checkProof(secondary); err != nil {
		return err
	}
	_, err := call(ctx, c.link, c.rpc.AckSlot, &replicationv1.AckSlotRequest{Id: id, At: commonv1.OfPosition(at),
		Proof: secondary})
	return err
}

func (c *hostClient) CloseSlot(ctx context.Context, id string) error {
	_, err := call(ctx, c.link, c.rpc.CloseSlot, &replicationv1.CloseSlotRequest{Id: id})
	return err
}

func (c *hostClient) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	if err := checkProof(req.Proof); err != nil {
		return nil, err
	}
	res, err := call(ctx, c.link, c.rpc.ReadRange, &replicationv1.ReadRangeRequest{After: []byte(req.After),
		SlotId: req.SlotID, Proof: req.Proof})
	if err != nil {
		return nil, err
	}
	r := res.GetRange().Value()
	if err := checkPayload("range", r.Payload); err != nil {
		return nil, err
	}
	return r, nil
}

func (c *hostClient) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	if err := checkPayload("question", req.Question); err != nil {
		return nil, err
	}
	res, err := call(ctx, c.link, c.rpc.AnswerDiff, &replicationv1.AnswerDiffRequest{SlotId: req.SlotID,
		Question: req.Question})
	if err != nil {
		return nil, err
	}
	if err := checkPayload("answer", res.GetAnswer()); err != nil {
		return nil, err
	}
	return res.GetAnswer(), nil
}

func (c *hostClient) SealHandover(ctx context.Context, req replication.SealHandoverRequest) (*replication.Handover,
	error) {
	res, err := call(ctx, c.link, c.rpc.SealHandover, &replicationv1.SealHandoverRequest{SecondaryId: req.SecondaryID,
		Challenge: req.Challenge})
	if err != nil {
		return nil, err
	}
	return &replication.Handover{Sealed: res.GetHandover().GetSealed()}, nil
}

func (c *hostClient) cursor(res *replicationv1.CursorResponse, err error) (*replication.Cursor, error) {
	if err != nil {
		return nil, err
	}
	return fromCursor(res), nil
}

func (c *hostClient) Cursor(ctx context.Context) (*replication.Cursor, error) {
	return c.cursor(call(ctx, c.link, c.rpc.Cursor, &replicationv1.CursorRequest{}))
}

func (c *hostClient) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	return c.cursor(call(ctx, c.link, c.rpc.BeginCopy,
		&replicationv1.BeginCopyRequest{From: commonv1.OfPosition(from.Position), Proof: from.Proof}))
}

func (c *hostClient) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	if err := checkPayload("range", r.Payload); err != nil {
		return nil, err
	}
	return c.cursor(call(ctx, c.link, c.rpc.ApplyRange, &replicationv1.ApplyRangeRequest{Range: commonv1.OfRange(r)}))
}

func (c *hostClient) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	if err := checkPayload("answer", answer); err != nil {
		return nil, err
	}
	res, err := call(ctx, c.link, c.rpc.Diff, &replicationv1.DiffRequest{Answer: answer})
	if err != nil {
		return nil, err
	}
	if err := checkPayload("question", res.GetQuestion()); err != nil {
		return nil, err
	}
	return fromDiffStep(res), nil
}

func (c *hostClient) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	_, err := call(ctx, c.link, c.rpc.Verify, &replicationv1.VerifyRequest{At: commonv1.OfPosition(at),
		Fingerprint: fingerprint, Proof: primary})
	return err
}

func (c *hostClient) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return c.cursor(call(ctx, c.link, c.rpc.EndCopy, &replicationv1.EndCopyRequest{}))
}

func (c *hostClient) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	if err := checkPayload("frame", f.Payload); err != nil {
		return nil, err
	}
	return c.cursor(call(ctx, c.link, c.rpc.ApplyFrame, &replicationv1.ApplyFrameRequest{Frame: commonv1.OfFrame(f)}))
}
