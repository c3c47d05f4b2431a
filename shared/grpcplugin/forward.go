// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/delivery"
	"github.com/vault-replication/vault-replication/shared/mirror"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A forwarded request crosses the boundary twice: out of the secondary's host into its
// plugin, and out of the primary's plugin into its host. Each crossing tells a request that
// was not delivered from one whose answer was lost.

const (
	forwardedRequest = "forwarded request"
	forwardedAnswer  = "forwarded request's answer"
)

// Forward implements [replication.Backend].
func (c *Client) Forward(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error) {
	if err := checkPayload(forwardedRequest, req.Payload); err != nil {
		return nil, err
	}
	res := &replicationv1.ForwardResponse{}
	sent, err := delivery.Call(ctx, c.conn, replicationv1.Replication_Forward_FullMethodName,
		[]any{&replicationv1.ForwardRequest{Payload: req.Payload}}, res)
	if err != nil {
		return nil, c.link.once(ctx, sent, err)
	}
	if err := checkAnswer(res.GetPayload()); err != nil {
		return nil, err
	}
	return &replication.ForwardResponse{Payload: res.GetPayload()}, nil
}

func (s *backendServer) Forward(ctx context.Context, req *replicationv1.ForwardRequest) (*replicationv1.ForwardResponse,
	error) {
	return answer[replicationv1.ForwardResponse](ctx, s, func(b replication.Backend, ctx context.Context) (
		*replication.ForwardResponse, error) {
		if err := checkPayload(forwardedRequest, req.GetPayload()); err != nil {
			return nil, err
		}
		res, err := b.Forward(ctx, replication.ForwardRequest{Payload: req.GetPayload()})
		if err == nil && res != nil {
			err = checkAnswer(res.Payload)
		}
		return res, err
	})
}

// Receive implements [replication.Host].
func (c *hostClient) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse,
	error) {
	if err := checkPayload(forwardedRequest, req.Payload); err != nil {
		return nil, err
	}
	res := &replicationv1.ReceiveResponse{}
	msg := mirror.Message[replicationv1.ReceiveRequest](&req)
	conn, done, err := c.conn.of(ctx, msg)
	if err != nil {
		return nil, c.link.once(ctx, false, err)
	}
	defer done()
	sent, err := delivery.Call(ctx, conn, replicationv1.Host_Receive_FullMethodName, []any{msg}, res)
	if err != nil {
		return nil, c.link.once(ctx, sent, err)
	}
	if err := checkAnswer(res.GetPayload()); err != nil {
		return nil, err
	}
	return &replication.ReceiveResponse{Payload: res.GetPayload()}, nil
}

func (s *hostServer) Receive(ctx context.Context, req *replicationv1.ReceiveRequest) (*replicationv1.ReceiveResponse,
	error) {
	if err := checkPayload(forwardedRequest, req.GetPayload()); err != nil {
		return nil, toStatus(err)
	}
	res, err := s.host.Receive(ctx, *mirror.Value[replication.ReceiveRequest](req))
	if err == nil && res != nil {
		err = checkAnswer(res.Payload)
	}
	return reply[replicationv1.ReceiveResponse](res, err)
}

// checkAnswer refuses an answer that is too large. The request was carried out
// by then.
func checkAnswer(payload []byte) error {
	if err := checkPayload(forwardedAnswer, payload); err != nil {
		return replication.Errorf(replication.Uncertain, "the request was carried out, but its answer cannot be brought "+
			"back: %w", err)
	}
	return nil
}
