// SPDX-License-Identifier: MPL-2.0

package link

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// kindCodes maps a kind to its gRPC code. UNAVAILABLE is left to gRPC itself, which uses it
// for a broken connection.
var kindCodes = map[replication.Kind]codes.Code{
	replication.Internal:      codes.Internal,
	replication.InvalidInput:  codes.InvalidArgument,
	replication.Denied:        codes.PermissionDenied,
	replication.Unavailable:   codes.Aborted,
	replication.PositionLost:  codes.OutOfRange,
	replication.NotFound:      codes.NotFound,
	replication.Unreachable:   codes.FailedPrecondition,
	replication.StorageFailed: codes.DataLoss,
	replication.Uncertain:     codes.Unknown,
}

// ToStatus makes err fit to be returned by a gRPC handler; the kind and the
// sentence arrive at the other end.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *replication.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return status.FromContextError(err).Err()
		}
		return status.Error(codes.Internal, err.Error())
	}
	code, ok := kindCodes[e.Kind]
	if !ok {
		code = codes.Internal
	}
	return status.Error(code, e.Message)
}

// FromForward is the inverse for a call that must not be repeated blindly. Sent says that the request left. After that
// only a plain refusal of the primary is certain. All other errors, the primary's Internal errors too, leave open
// whether the request was carried out.
func FromForward(ctx context.Context, sent bool, err error) error {
	told := FromStatus(err)
	switch code := status.Code(err); {
	case !sent && ctx.Err() != nil:
		return unreached(ctx)
	case !sent, code == codes.Unimplemented:
		return told
	case ctx.Err() != nil:
		return uncertain(ctx.Err())
	case code == codes.DeadlineExceeded:
		// The deadline is sent along, and the primary may see it pass first.
		return uncertain(context.DeadlineExceeded)
	}
	for kind, code := range kindCodes {
		if code == status.Code(err) && kind != replication.Internal {
			return told
		}
	}
	return uncertain(told)
}

// unreached is the error of a request whose caller gave up before it was sent.
func unreached(ended context.Context) error {
	return replication.Errorf(replication.Unreachable, "the request did not reach the primary: %w", ended.Err())
}

func uncertain(why error) error {
	return replication.Errorf(replication.Uncertain, "the request was sent to the primary and its answer was lost, so "+
		"it may have been carried out: look before trying again: %w", why)
}

// FromStatus is the inverse at the caller's end. A failure of the connection
// itself is Unreachable.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return replication.Errorf(replication.Unreachable, "the connection to the primary failed: %w", err)
	}
	for kind, code := range kindCodes {
		if code == st.Code() && kind != replication.Internal {
			return replication.Errorf(kind, "%s", st.Message())
		}
	}
	switch st.Code() {
	case codes.Unimplemented:
		return replication.Errorf(replication.InvalidInput, "the primary does not know this call (%s): upgrade the "+
			"primary", st.Message())
	case codes.Internal:
		return replication.Errorf(replication.Internal, "%s", st.Message())
	default:
		return replication.Errorf(replication.Unreachable, "the connection to the primary failed: %s", st.Message())
	}
}
