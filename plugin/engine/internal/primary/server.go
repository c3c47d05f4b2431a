// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Config has the bounds of the sessions.
type Config struct {
	// LossAfter is the silence after which a secondary's connection is ended.
	LossAfter time.Duration
	// WindowBytes and WindowFrames bound what is sent and not yet acknowledged.
	// WindowFrames counts small frames alone. A small number makes frames grow under load:
	// while they are under way, the journal gathers rows for the next one.
	WindowBytes, WindowFrames int
	// GatherRate is the bytes a second from which on rows wait to share a frame. GatherMax
	// bounds the wait; zero is no wait.
	GatherRate int
	GatherMax  time.Duration
	// AckInterval is the shortest time between two AckSlot calls.
	AckInterval time.Duration
	// KeepNodes says that a secondary may take this cluster's place. So the addresses of
	// its nodes are kept.
	KeepNodes bool
	// Contested says that another cluster may be the primary of the set too. Then no
	// secondary that comes by itself is accepted.
	Contested bool
}

// Server has the sessions of all secondaries of one set.
type Server struct {
	linkv1.UnimplementedLinkServer

	cfg       Config
	host      replication.Host
	logger    hclog.Logger
	authority *trust.Authority
	registry  *trust.Registry

	grpc  *grpc.Server
	queue *acceptQueue
	// background are the goroutines that end by themselves after their handlers.
	background sync.WaitGroup

	// leaving ends when this cluster is demoted.
	leaving context.Context
	leave   context.CancelFunc

	sessions *sessions
	nodes    nodes
	pace     pace
}

// NewServer makes a server; Start lets it listen.
func NewServer(cfg Config, host replication.Host, logger hclog.Logger, authority *trust.Authority,
	registry *trust.Registry) *Server {
	s := &Server{
		cfg: cfg, host: host, logger: logger, authority: authority, registry: registry,
		queue: newAcceptQueue(), sessions: newSessions(),
		nodes: nodes{writing: link.NewGate(), stored: map[string]storedNode{}},
		pace:  pace{byID: map[string]*rate.Limiter{}},
	}
	s.leaving, s.leave = context.WithCancel(context.Background())
	options := append(link.ServerOptions(peerCredentials{}), grpc.InTapHandle(s.headerGate),
		grpc.UnaryInterceptor(unaryGate), grpc.StreamInterceptor(streamGate))
	s.grpc = grpc.NewServer(options...)
	linkv1.RegisterLinkServer(s.grpc, s)
	return s
}

// Start asks the host for connections.
func (s *Server) Start(ctx context.Context) error {
	s.forgetStrangers(ctx)
	if s.cfg.KeepNodes {
		if err := s.nodes.load(ctx, s.host); err != nil {
			return err
		}
	}
	if err := s.host.Listen(ctx, s.authority.ListenRequest()); err != nil {
		return err
	}
	s.background.Go(func() {
		// Serve returns when the queue is closed, which is no failure.
		_ = s.grpc.Serve(s.queue)
	})
	return nil
}

// Stop ends all sessions and waits for them. Demoted says that this cluster is no longer
// the primary; the secondaries are told so.
func (s *Server) Stop(ctx context.Context, demoted bool) {
	if err := s.host.StopListening(ctx); err != nil {
		s.logger.Warn("the host did not stop listening for secondaries", "error", err)
	}
	conns := s.sessions.stop()
	if demoted {
		s.sayDemoted()
	}
	for _, c := range conns {
		_ = c.Close()
	}
	s.leave()
	s.grpc.Stop()
	_ = s.queue.Close()
	s.background.Wait()
}

// Revoke cuts all connections of a secondary and ends retention for it. The registry
// refuses its certificate already.
func (s *Server) Revoke(ctx context.Context, id string) error {
	ps := s.sessions.peer(id)
	s.sessions.cut(id)
	s.pace.forget(id)
	// A Hello that was under way when it was cut may still open a slot.
	if err := ps.hello.Enter(ctx); err != nil {
		return err
	}
	defer ps.hello.Leave()
	return s.forget(ctx, id)
}
