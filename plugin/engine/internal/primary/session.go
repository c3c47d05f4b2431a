// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// streaming is a Copy or a Stream that runs on a connection.
type streaming struct {
	end  context.CancelFunc
	done chan struct{}
}

var errStreams = replication.Errorf(replication.InvalidInput, "this session streams already")

// beginStreaming claims the connection for a Copy or a Stream until the returned
// function is called. The context ends with a newer Hello.
func (c *peerConn) beginStreaming(ctx context.Context) (context.Context, replication.Epoch, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streaming != nil {
		return nil, replication.Epoch{}, nil, errStreams
	}
	ctx, end := context.WithCancel(ctx)
	st := &streaming{end: end, done: make(chan struct{})}
	c.streaming = st
	return ctx, c.epoch, func() {
		end()
		c.mu.Lock()
		c.streaming = nil
		c.mu.Unlock()
		close(st.done)
	}, nil
}

// stopStreaming ends what runs on the connection and waits for that. Its secondary begins
// anew.
func (c *peerConn) stopStreaming(ctx context.Context) error {
	c.mu.Lock()
	st := c.streaming
	c.mu.Unlock()
	if st == nil {
		return nil
	}
	st.end()
	select {
	case <-st.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Heartbeat implements link.v1.
func (s *Server) Heartbeat(ctx context.Context, req *linkv1.HeartbeatRequest) (*linkv1.HeartbeatResponse, error) {
	pc, ps, err := s.sessions.of(ctx)
	if err != nil {
		return nil, err
	}
	applied, err := link.FromPosition(req.GetApplied())
	if err != nil {
		return nil, err
	}
	at, err := s.host.Position(ctx, pc.id)
	if err != nil {
		return nil, err
	}
	node, err := s.host.Node(ctx)
	if err != nil {
		return nil, err
	}
	pc.mu.Lock()
	epoch := pc.epoch
	pc.mu.Unlock()
	if at.Position.Epoch != epoch {
		return nil, replication.Errorf(replication.Unavailable, "the primary began a new epoch: say Hello again")
	}
	pc.expect(s.cfg.LossAfter)
	// This acknowledges nothing. It tells the host that the secondary is there, also while
	// it copies, and tells this end whether its slot is.
	if err := s.host.AckSlot(ctx, pc.id, replication.Position{}, nil); replication.KindOf(
		err) == replication.PositionLost {
		return nil, err
	} else if err != nil {
		s.logger.Debug("could not say that a secondary is there", "id", pc.id, "error", err)
	}
	now := time.Now()
	roundTrip := time.Duration(max(0, req.GetRoundTrip()))
	s.sessions.note(func() {
		ps.lastHeartbeat = now
		ps.roundTrip = roundTrip
		ps.skew = time.Unix(0, req.GetClock()).Add(roundTrip / 2).Sub(now)
		ps.applied = applied
		ps.node = link.FromNode(req.GetNode())
		ps.lag.Observe(at.Position, now)
	})
	s.keepNode(ctx, pc.id, link.FromNode(req.GetNode()))
	return &linkv1.HeartbeatResponse{
		Clock: now.UnixNano(), Position: mirror.Message[commonv1.Position](&at.Position), Fingerprint: at.Fingerprint,
		Proof: at.Proof, Node: s.node(node, pc.id),
	}, nil
}

// Peers are the secondaries that have a session or had one since Start, sorted.
func (s *Server) Peers() []replication.Peer { return s.sessions.list() }
