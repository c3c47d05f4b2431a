// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// hostServices are the host's services at go-plugin's broker, served once for a plugin
// process: for messages of usual size, and for large ones.
type hostServices struct{ small, bulk *hostService }

func serveHost(broker *plugin.GRPCBroker, host replication.Host, logger hclog.Logger) *hostServices {
	return &hostServices{serveCalls(broker, host, logger, smallCalls), serveCalls(broker, host, logger, bulkCalls)}
}

func (h *hostServices) stop() {
	h.small.stop()
	h.bulk.stop()
}

type hostService struct {
	id uint32

	mu      sync.Mutex
	server  *grpc.Server // set by the serving goroutine
	stopped bool
}

// serveCalls begins to serve. The broker makes the gRPC server in a goroutine, perhaps
// after stop was called. stop handles both cases.
func serveCalls(broker *plugin.GRPCBroker, host replication.Host, logger hclog.Logger, b callBounds) *hostService {
	h := &hostService{id: broker.NextId()}
	go broker.AcceptAndServe(h.id, func(opts []grpc.ServerOption) *grpc.Server {
		server := grpc.NewServer(append(append(append(opts, ServerOptions()...), b.options()...),
			grpc.UnaryInterceptor(recoverUnary(logger)), grpc.StreamInterceptor(recoverStream(logger)))...)
		replicationv1.RegisterHostServer(server, &hostServer{host: host})
		h.mu.Lock()
		defer h.mu.Unlock()
		h.server = server
		if h.stopped {
			server.Stop()
		}
		return server
	})
	return h
}

// stop ends all calls of the plugin: their contexts end.
func (h *hostService) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	if h.server != nil {
		h.server.Stop()
	}
}

// A fault in a handler must not take Vault down. It is logged with its stack,
// and the plugin sees an Internal error. (A plugin may crash: it is restarted.)

func recoverUnary(logger hclog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (res any, err error) {
		defer recovered(logger, info.FullMethod, &err)
		if err := check(req); err != nil {
			return nil, toStatus(err)
		}
		return handler(ctx, req)
	}
}

func recoverStream(logger hclog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer recovered(logger, info.FullMethod, &err)
		return handler(srv, stream)
	}
}

func recovered(logger hclog.Logger, method string, err *error) {
	if fault := recover(); fault != nil {
		logger.Error("panic in a call of the replication plugin", "method", method, "panic", fault, "stack",
			string(debug.Stack()))
		*err = toStatus(replication.Errorf(replication.Internal, "the host failed inside: its log has the details"))
	}
}
