// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"reflect"

	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Each call of the contract has two methods: the client's makes a message, and the server's makes the call of that
// message. Their common parts are here.

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
func ask[V, Req, Res any](ctx context.Context, l link, do rpc[Req, Res], req *Req) (*V, error) {
	res, err := call(ctx, l, do, req)
	if err != nil {
		return nil, err
	}
	return mirror.Value[V](res), nil
}

// done makes the result of a handler from a message and an error.
func done[Res any](res *Res, err error) (*Res, error) {
	if err == nil {
		err = check(res)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return res, nil
}

// reply makes the result of a handler from a value of the contract and an error.
func reply[Res, V any](v *V, err error) (*Res, error) { return done(present[Res](v, err)) }

// present makes a message from a value of the contract, which must not be nil.
func present[M, V any](v *V, err error) (*M, error) {
	if err == nil && v == nil {
		err = missing(reflect.TypeFor[V]().Name())
	}
	if err != nil {
		return nil, err
	}
	return mirror.Message[M](v), nil
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
		return checkTransition(mirror.Value[replication.Transition](m))
	case *replicationv1.DiffResponse:
		if m.GetCursor() == nil {
			return missing("Cursor")
		}
		return checkPayload("question", m.GetQuestion())
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
