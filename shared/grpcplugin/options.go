// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/shared/payload"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// MaxMessage is the size of a message above which gRPC refuses it, in bytes:
	// the largest payload and room for what is around it. Without it gRPC stops
	// at 4 MiB.
	MaxMessage = replication.PayloadMax + 1<<20

	// Windows of flow control, in bytes. Fixed ones spare gRPC's probing, which
	// costs a ping for every burst; these hold a whole frame on its way while the
	// former one is written.
	streamWindow     = 2 << 20
	connectionWindow = 8 << 20
)

// ServerOptions are the options of every gRPC server of the boundary.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(payload.Codec{}),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
	}
}

// DialOptions are the options of every gRPC client of the boundary. A host gives them to go-plugin's ClientConfig.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(payload.Codec{}),
			grpc.MaxCallRecvMsgSize(MaxMessage),
			grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		// A process boundary does not become idle. Dialling the broker again would only add
		// a way to fail.
		grpc.WithIdleTimeout(0),
	}
}
