// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
)

// Each call of the contract is a pair: the client's method makes a message, and the server's method makes the call
// that the message is for. What is the same for all of them is here.

// rpc is a unary call of a generated client.
type rpc[Req, Res any] func(context.Context, *Req, ...grpc.CallOption) (*Res, error)

// call makes a unary call. It checks what it sends and what it gets.
func call[Req, Res any](ctx context.Context, l link, do rpc[Req, Res], req *Req) (*Res, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	res, err := do(ctx, req)
	if err != nil {
		return nil, l.err(ctx, err)
	}
	return res, check(res)
}

// tell makes a call that answers with nothing but an error.
func tell[Req, Res any](ctx context.Context, l link, do rpc[Req, Res], req *Req) error {
	_, err := call(ctx, l, do, req)
	return err
}

// ask makes a call that answers with a value of the contract.
func ask[Req, Res, V any](ctx context.Context, l link, do rpc[Req, Res], req *Req, from func(*Res) *V) (*V, error) {
	res, err := call(ctx, l, do, req)
	if err != nil {
		return nil, err
	}
	return from(res), nil
}

// done makes the result of a handler of a message and an error.
func done[Res any](res *Res, err error) (*Res, error) {
	if err == nil {
		err = check(res)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return res, nil
}

// reply makes the result of a handler of a value of the contract, which must not be nil, and an error.
func reply[V, Res any](what string, to func(*V) *Res, v *V, err error) (*Res, error) {
	if err == nil && v == nil {
		err = missing(what)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return done(to(v), nil)
}

// check checks the sizes in a message. Both ends call it, the sender and the receiver. A forwarded request is not
// checked here: what its error means depends on where it is noticed.
func check(m any) error {
	switch m := m.(type) {
	case *replicationv1.GetStateRequest:
		return checkStateKey(m.GetKey())
	case *replicationv1.DeleteStateRequest:
		return checkStateKey(m.GetKey())
	case *replicationv1.PutStateRequest:
		return checkState(m.GetKey(), m.GetValue())
	case *replicationv1.TransitionResponse:
		return checkTransition(fromTransition(m))
	case interface{ GetFrame() *commonv1.Frame }:
		return errors.Join(checkPayload("frame", m.GetFrame().GetPayload()), checkProof(m.GetFrame().GetProof()))
	case interface{ GetRange() *commonv1.Range }:
		return errors.Join(checkPayload("range", m.GetRange().GetPayload()), checkProof(m.GetRange().GetProof()))
	case interface{ GetQuestion() []byte }:
		return checkPayload("question", m.GetQuestion())
	case interface{ GetAnswer() []byte }:
		return checkPayload("answer", m.GetAnswer())
	case interface{ GetProof() []byte }:
		return checkProof(m.GetProof())
	}
	return nil
}
