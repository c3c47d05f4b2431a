// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// messageMax bounds the text of an error on the wire, in bytes: it travels twice
// in HTTP/2 trailers, which are limited.
const messageMax = 16 << 10

// codeOf is the gRPC status of a kind, for people who look at the wire. The details have
// the kind itself.
var codeOf = map[replication.Kind]codes.Code{
	replication.Internal:      codes.Internal,
	replication.InvalidInput:  codes.InvalidArgument,
	replication.Denied:        codes.PermissionDenied,
	replication.Unavailable:   codes.Unavailable,
	replication.PositionLost:  codes.OutOfRange,
	replication.NotFound:      codes.NotFound,
	replication.Unreachable:   codes.Unavailable,
	replication.StorageFailed: codes.Internal,
	replication.Uncertain:     codes.Unknown,
}

// toStatus turns a handler's error into one that crosses the boundary.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *replication.Error
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, context.Canceled):
			return status.Error(codes.Canceled, text(err))
		case errors.Is(err, context.DeadlineExceeded):
			return status.Error(codes.DeadlineExceeded, text(err))
		}
	}
	kind := replication.KindOf(err)
	code, ok := codeOf[kind]
	if !ok {
		code = codes.Unknown
	}
	// The text is that of the outermost error: it may add to the contract's.
	s := status.New(code, text(err))
	detailed, detailErr := s.WithDetails(&replicationv1.Error{
		Kind: replicationv1.Error_Kind(kind), Message: text(err),
	})
	if detailErr != nil {
		return s.Err()
	}
	return detailed.Err()
}

func text(err error) string {
	s := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(s) > messageMax {
		s = strings.ToValidUTF8(s[:messageMax], "") + " (cut)"
	}
	return s
}

// link is one direction of the boundary as its client sees it.
type link struct {
	// peer names the other side in sentences, such as `plugin "replication-dr"`.
	peer string
	// hint says what happens or what to do when the peer is gone.
	hint string
	// done is closed when the peer's process has ended; may be nil.
	done <-chan struct{}
}

// err turns a call's error into one of the contract.
func (l link) err(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		var e *replication.Error
		if errors.As(err, &e) {
			return err
		}
	}
	if told := contractError(s); told != nil {
		return told
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	switch s.Code() {
	case codes.DeadlineExceeded:
		// The other side's clock may notice the deadline first.
		return context.DeadlineExceeded
	case codes.Canceled, codes.Unavailable:
		return l.gone(s.Message())
	case codes.Unimplemented:
		return replication.Errorf(replication.Internal,
			"%s does not know this call (%s): it is older than this side, install the matching release", l.peer, s.Message())
	case codes.ResourceExhausted:
		return replication.Errorf(replication.Internal,
			"a message between this process and %s is larger than the limit of %d bytes: %s", l.peer, MaxMessage, s.Message())
	}
	return replication.Errorf(replication.Internal, "%s failed: %s", l.peer, s.Message())
}

// contractError is the error of the contract in a status, nil when the status is
// a fault of the boundary itself.
func contractError(s *status.Status) error {
	for _, d := range s.Details() {
		if e, ok := d.(*replicationv1.Error); ok {
			return replication.Errorf(replication.Kind(e.GetKind()), "%s", e.GetMessage())
		}
	}
	return nil
}

// once turns the error of a call that must not be repeated blindly into one of the
// contract. It says whether the other side may have done what it was asked.
func (l link) once(ctx context.Context, sent bool, err error) error {
	s := status.Convert(err)
	switch told := contractError(s); {
	case told != nil:
		return told
	case sent && s.Code() != codes.Unimplemented:
		return replication.Errorf(replication.Uncertain,
			"the answer of %s was lost, and the request may have been carried out: look before trying again: %w", l.peer,
			l.err(ctx, err))
	case ctx.Err() != nil:
		return replication.Errorf(replication.Unreachable, "the request was not delivered: %w", ctx.Err())
	}
	return l.err(ctx, err)
}

func (l link) gone(reason string) error {
	select {
	case <-l.done:
		return replication.Errorf(replication.Unavailable, "the process of %s has ended: %s", l.peer, l.hint)
	default:
		return replication.Errorf(replication.Unavailable, "%s ended the call or is gone (%s): %s", l.peer, reason, l.hint)
	}
}
