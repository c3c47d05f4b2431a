// SPDX-License-Identifier: MPL-2.0

package link

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/vault-replication/vault-replication/shared/payload"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// errOneConn ends gRPC's own attempts to reconnect: a session is one connection,
// and a new one begins with a Hello.
var errOneConn = errors.New("the connection of this session has ended")

// NewClientConn runs gRPC over a connection on which the host has already done
// mutual TLS. It owns conn: closing the result closes it.
func NewClientConn(conn net.Conn) (*grpc.ClientConn, error) {
	var used atomic.Bool
	cc, err := grpc.NewClient("passthrough:///primary",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errOneConn
			}
			return conn, nil
		}),
		// This is not in the clear: below is TLS, which the host made and verified.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(StreamWindow),
		grpc.WithInitialConnWindowSize(ConnWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: KeepaliveTime, Timeout: KeepaliveTimeout,
			PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(payload.Codec{}), grpc.MaxCallRecvMsgSize(MessageMax),
			grpc.MaxCallSendMsgSize(RequestMax)),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
	)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return cc, nil
}

// ServerOptions are the options of the primary's gRPC server.
func ServerOptions(creds credentials.TransportCredentials) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.ForceServerCodecV2(payload.Codec{}),
		grpc.InitialWindowSize(1 << 20),
		grpc.InitialConnWindowSize(1 << 20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: KeepaliveTime, Timeout: KeepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: KeepaliveMin, PermitWithoutStream: true}),
		// CheckRequest allows less for most messages.
		grpc.MaxRecvMsgSize(RequestMax),
		grpc.MaxSendMsgSize(MessageMax),
		grpc.MaxConcurrentStreams(ForwardsMax + otherCalls),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.WaitForHandlers(true),
	}
}

// Refused says, as Denied, why the other end refused a connection; nil if it did not. The host on the other side checks
// certificates before any call can be answered.
func Refused(conn net.Conn) error {
	r, ok := conn.(tunnel.Refuser)
	if !ok || r.Refused() == "" {
		return nil
	}
	return replication.Errorf(replication.Denied, "%s", r.Refused())
}

// ActiveConn remembers when something last arrived. On a slow link a heartbeat may be stuck behind bulk data for long,
// and the link is alive all the same. A link on which nothing arrives is dead.
type ActiveConn struct {
	net.Conn
	last atomic.Int64
}

// NewActiveConn wraps a connection; it counts as active now.
func NewActiveConn(c net.Conn) *ActiveConn {
	a := &ActiveConn{Conn: c}
	a.last.Store(time.Now().UnixNano())
	return a
}

func (a *ActiveConn) Read(p []byte) (int, error) {
	n, err := a.Conn.Read(p)
	if n > 0 {
		a.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// Silence is how long nothing has arrived.
func (a *ActiveConn) Silence() time.Duration {
	return time.Since(time.Unix(0, a.last.Load()))
}
