// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Serve takes over one connection and returns when the connection ends. An unwanted peer learns the reason from its
// first call, for its operator. It can do nothing else.
func (s *Server) Serve(ctx context.Context, conn net.Conn, info replication.PeerInfo) error {
	id, _ := s.registry.Identify(info.Certificate)
	pc := &peerConn{Conn: conn, id: id, done: make(chan struct{})}
	if err := s.sessions.track(pc); err != nil {
		_ = conn.Close()
		return err
	}
	defer s.sessions.untrack(pc)
	defer func() { _ = pc.Close() }()
	// Ask again now that a revocation can find the connection. A secondary that was revoked in between is either cut by
	// the revocation or refused here.
	if _, pc.denied = s.registry.Identify(info.Certificate); pc.denied != nil {
		s.logger.Warn("refused a secondary", "id", id, "address", info.RemoteAddr, "error", pc.denied)
	}
	pc.expect(s.cfg.LossAfter)
	if err := s.queue.push(ctx, pc); err != nil {
		return err
	}
	select {
	case <-pc.done:
	case <-ctx.Done():
	}
	return pc.denied
}

// peerConn is a connection with the identity that its certificate proved.
type peerConn struct {
	net.Conn
	id     string
	denied error
	done   chan struct{}
	once   sync.Once

	mu       sync.Mutex
	watchdog *time.Timer
	// epoch is set by Hello. streaming is set while a Copy or Stream runs.
	epoch     replication.Epoch
	streaming *streaming
	comparing bool // a Diff runs
	// entering is the context of the last call that needed no session. It ends with that
	// call.
	entering context.Context

	// known says that the connection has or had a session. read counts the bytes that came before it.
	known atomic.Bool
	// bidsFarewell says that the secondary can hear of a demotion.
	bidsFarewell atomic.Bool
	read         atomic.Int64
}

// Read closes a connection that sends much before it has a session.
func (c *peerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.known.Load() && c.read.Add(int64(n)) > link.StrangerMax {
		_ = c.Close()
		return 0, errTalkative
	}
	return n, err
}

var errTalkative = replication.Errorf(replication.Denied, "a connection without a session has sent more than a Hello "+
	"has")

// enter claims the connection for a call without a session. Only one such call may run at a
// time.
func (c *peerConn) enter(call context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entering != nil && c.entering.Err() == nil {
		return replication.Errorf(replication.Unavailable, "a connection without a session has one call at a time")
	}
	c.entering = call
	return nil
}

// Close ends the connection; idempotent, as gRPC and the server both call it.
func (c *peerConn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.done)
		c.mu.Lock()
		if c.watchdog != nil {
			c.watchdog.Stop()
		}
		c.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

// expect ends the connection unless it is called again in time. So a half-open connection
// is noticed.
func (c *peerConn) expect(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return
	default:
	}
	if c.watchdog == nil {
		c.watchdog = time.AfterFunc(within, func() { _ = c.Close() })
		return
	}
	c.watchdog.Reset(within)
}

// acceptQueue is a net.Listener of connections that were accepted elsewhere.
type acceptQueue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newAcceptQueue() *acceptQueue {
	return &acceptQueue{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (q *acceptQueue) push(ctx context.Context, c net.Conn) error {
	select {
	case q.conns <- c:
		return nil
	case <-q.closed:
		return replication.Errorf(replication.Unavailable, "this primary is stopping: try again later")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *acceptQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *acceptQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *acceptQueue) Addr() net.Addr { return queueAddr{} }

type queueAddr struct{}

func (queueAddr) Network() string { return "tunnel" }
func (queueAddr) String() string  { return "cluster port" }

// peerCredentials gives gRPC the identity that TLS on the cluster port has
// proved before the connection came here.
type peerCredentials struct{}

var errNotOurs = errors.New("the connection did not come through the cluster port")

func (peerCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	pc, ok := raw.(*peerConn)
	if !ok {
		return nil, nil, errNotOurs
	}
	return pc, identity{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		conn: pc}, nil
}

func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a server's")
}

func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}
func (c peerCredentials) Clone() credentials.TransportCredentials { return c }
func (peerCredentials) OverrideServerName(string) error           { return nil }

// identity is what a handler learns of its caller.
type identity struct {
	credentials.CommonAuthInfo
	conn *peerConn
}

func (identity) AuthType() string { return "tls" }

// caller returns the connection of a call. Denied when it is not wanted.
func caller(ctx context.Context) (*peerConn, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, errNotOurs
	}
	id, ok := p.AuthInfo.(identity)
	if !ok {
		return nil, errNotOurs
	}
	return id.conn, id.conn.denied
}

// The gates stand before every handler. No call of an unwanted peer passes, and every error
// keeps its kind.

func unaryGate(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, err := caller(ctx); err != nil {
		return nil, link.ToStatus(err)
	}
	if err := link.CheckRequest(req); err != nil {
		return nil, link.ToStatus(err)
	}
	resp, err := next(ctx, req)
	return resp, link.ToStatus(err)
}

func streamGate(srv any, st grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if _, err := caller(st.Context()); err != nil {
		return link.ToStatus(err)
	}
	return link.ToStatus(next(srv, checkedStream{st}))
}

// checkedStream checks the size of what arrives.
type checkedStream struct{ grpc.ServerStream }

func (s checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return link.CheckRequest(m)
}

// headerGate runs before the body of a call is read. A peer that is not wanted, or has no
// session, can send no more than a header. gRPC holds the peer's connection meanwhile, so
// this must not wait.
func (s *Server) headerGate(ctx context.Context, info *tap.Info) (context.Context, error) {
	switch info.FullMethodName {
	case linkv1.Link_Hello_FullMethodName, linkv1.Link_Bootstrap_FullMethodName:
		pc, err := caller(ctx)
		if err == nil {
			err = pc.enter(ctx)
		}
		return ctx, link.ToStatus(err)
	default:
		_, _, err := s.sessions.of(ctx)
		return ctx, link.ToStatus(err)
	}
}
