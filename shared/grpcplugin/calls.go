// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A host reads the message of a call before it knows whether it wants it. So a plugin can
// make it hold the size of messages times the number of calls: about 600 MiB. A plugin that
// keeps to the bounds waits instead of being refused.

// callBounds bound the calls of one of the host's services.
type callBounds struct {
	message int // its largest size in bytes
	calls   int // at a time, streams among them
	waiting int // how many calls with one message a plugin has under way at most
}

var (
	smallCalls = callBounds{message: replication.PayloadTarget + 256<<10, calls: 256, waiting: 160}
	bulkCalls  = callBounds{message: MaxMessage, calls: 4, waiting: 4}
)

// options are in addition to ServerOptions.
func (b callBounds) options() []grpc.ServerOption {
	var calls atomic.Int64
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(b.message),
		// This bounds one connection; a plugin may make several.
		grpc.MaxConcurrentStreams(uint32(b.calls)),
		grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
			if calls.Add(1) > int64(b.calls) {
				calls.Add(-1)
				return nil, status.Errorf(codes.ResourceExhausted, "the plugin has %d calls under way, and the host takes no more",
					b.calls)
			}
			// The context ends with the call.
			context.AfterFunc(ctx, func() { calls.Add(-1) })
			return ctx, nil
		}),
	}
}

// hostConn is a plugin's connection to the host's services. It sends large messages to the
// service that takes them.
type hostConn struct {
	small, bulk         *grpc.ClientConn
	smallRoom, bulkRoom chan struct{}
}

// dialHost connects to both services, one after the other: go-plugin's multiplexed broker confuses connections that
// are made at one time.
func dialHost(ctx context.Context, broker *plugin.GRPCBroker, req *replicationv1.AttachRequest) (*hostConn, error) {
	small, err := broker.DialWithOptions(req.GetHostServiceId(), DialOptions()...)
	if err != nil {
		return nil, err
	}
	small.Connect()
	for s := small.GetState(); s != connectivity.Ready; s = small.GetState() {
		if !small.WaitForStateChange(ctx, s) {
			_ = small.Close()
			return nil, ctx.Err()
		}
	}
	bulk, err := broker.DialWithOptions(req.GetBulkServiceId(), DialOptions()...)
	if err != nil {
		_ = small.Close()
		return nil, err
	}
	return newHostConn(small, bulk), nil
}

func newHostConn(small, bulk *grpc.ClientConn) *hostConn {
	return &hostConn{
		small: small, smallRoom: make(chan struct{}, smallCalls.waiting),
		bulk: bulk, bulkRoom: make(chan struct{}, bulkCalls.waiting),
	}
}

func (c *hostConn) close() {
	_ = c.small.Close()
	_ = c.bulk.Close()
}

// of returns the connection for a call with one message, once there is room for it. done ends the call.
func (c *hostConn) of(ctx context.Context, msg any) (conn *grpc.ClientConn, done func(), err error) {
	conn, room := c.small, c.smallRoom
	if m, ok := msg.(proto.Message); ok && proto.Size(m) > smallCalls.message {
		conn, room = c.bulk, c.bulkRoom
	}
	select {
	case room <- struct{}{}:
		return conn, func() { <-room }, nil
	case <-ctx.Done():
		return nil, nil, status.FromContextError(ctx.Err()).Err()
	}
}

// Invoke implements [grpc.ClientConnInterface].
func (c *hostConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	conn, done, err := c.of(ctx, args)
	if err != nil {
		return err
	}
	defer done()
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements [grpc.ClientConnInterface]. The messages of streams are small.
func (c *hostConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (
	grpc.ClientStream, error) {
	return c.small.NewStream(ctx, desc, method, opts...)
}
