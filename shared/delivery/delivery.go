// SPDX-License-Identifier: MPL-2.0

// Package delivery makes unary gRPC calls that say whether the request may have reached the
// other end. An error of the generated clients looks the same before the request left and
// after. Whoever forwards a write must know, because only a request that did not arrive may
// be sent again.
package delivery

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
)

// Call makes a unary call. With more than one request it makes a call whose requests are
// parts of a whole. Sent says that the connection has got the whole request: the other end
// may carry it out whatever the error. If sent is false, the other end has certainly not
// seen the whole request.
//
// gRPC itself repeats a call only when the other end says that it has not looked at it, so
// a request is carried out at most once.
func Call(ctx context.Context, conn grpc.ClientConnInterface, method string, reqs []any, res any,
	opts ...grpc.CallOption) (sent bool, err error) {
	// A stream that is given up half way is released by its context alone.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The same bytes as those of a unary call, with its steps told apart.
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method, opts...)
	if err != nil {
		return false, err
	}
	for _, req := range reqs {
		switch err := stream.SendMsg(req); {
		case errors.Is(err, io.EOF):
			// The stream ended before the request was in it. The answer says why.
			err = stream.RecvMsg(res)
			return err == nil, err
		case err != nil:
			return false, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return true, err
	}
	return true, stream.RecvMsg(res)
}
