// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/lag"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// peerState is what is known of a secondary that has or had a session. Server.mu guards its
// fields.
type peerState struct {
	hello    link.Gate     // not guarded: serialises Hello
	forwards link.Forwards // not guarded

	conn          *peerConn
	node          link.NodeInfo
	lastHeartbeat time.Time
	roundTrip     time.Duration
	skew          time.Duration
	applied       replication.Position
	acknowledged  uint64
	lag           lag.Tracker
}

func (s *Server) peer(id string) *peerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	ps, ok := s.peers[id]
	if !ok {
		ps = &peerState{hello: link.NewGate()}
		s.peers[id] = ps
	}
	return ps
}

// attach makes a connection the session of its secondary and ends the older one. After a
// failover of the secondary, the node that lost would keep the slot.
func (s *Server) attach(ps *peerState, pc *peerConn, epoch replication.Epoch, node link.NodeInfo) error {
	s.mu.Lock()
	if _, tracked := s.conns[pc]; !tracked || s.stopped || s.peers[pc.id] != ps {
		s.mu.Unlock()
		return errSessionOver
	}
	older := ps.conn
	ps.conn, ps.node = pc, node
	pc.known.Store(true)
	s.mu.Unlock()
	pc.mu.Lock()
	pc.epoch = epoch
	pc.mu.Unlock()
	if older != nil && older != pc {
		s.logger.Info("a newer session of a secondary replaces the older", "id", pc.id)
		_ = older.Close()
	}
	return nil
}

var errSessionOver = replication.Errorf(replication.Unavailable, "this session is over: say Hello again")

// session returns the live session of a call. Unavailable if the secondary has another one
// by now.
func (s *Server) session(ctx context.Context) (*peerConn, *peerState, error) {
	pc, err := caller(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ps := s.peers[pc.id]
	if ps == nil || ps.conn != pc {
		return nil, nil, errSessionOver
	}
	return pc, ps, nil
}

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
	pc, ps, err := s.session(ctx)
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
	if err := s.host.AckSlot(ctx, pc.id, replication.Position{}, nil); replication.KindOf(err) == replication.PositionLost {
		return nil, err
	} else if err != nil {
		s.logger.Debug("could not say that a secondary is there", "id", pc.id, "error", err)
	}
	now := time.Now()
	roundTrip := time.Duration(max(0, req.GetRoundTrip()))
	s.mu.Lock()
	ps.lastHeartbeat = now
	ps.roundTrip = roundTrip
	ps.skew = time.Unix(0, req.GetClock()).Add(roundTrip / 2).Sub(now)
	ps.applied = applied
	ps.node = link.FromNode(req.GetNode())
	ps.lag.Observe(at.Position, now)
	s.mu.Unlock()
	s.keepNode(ctx, pc.id, link.FromNode(req.GetNode()))
	return &linkv1.HeartbeatResponse{
		Clock: now.UnixNano(), Position: commonv1.OfPosition(at.Position), Fingerprint: at.Fingerprint, Proof: at.Proof, Node: s.node(node, pc.id),
	}, nil
}

// peerAPIs are the API addresses of all secondaries that have or had a session, but one.
func (s *Server) peerAPIs(but string) []string {
	var apis []string
	for _, p := range s.Peers() {
		if p.NodeID != but {
			apis = append(apis, p.APIAddress)
		}
	}
	return link.APIAddresses(apis)
}

// Peers are the secondaries that have a session or had one since Start, sorted.
func (s *Server) Peers() []replication.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	peers := make([]replication.Peer, 0, len(s.peers))
	for id, ps := range s.peers {
		connected := false
		if ps.conn != nil {
			_, connected = s.conns[ps.conn]
		}
		peers = append(peers, replication.Peer{
			NodeID: id, APIAddress: ps.node.APIAddr, ClusterAddress: ps.node.ClusterAddr, Connected: connected,
			LastHeartbeat: ps.lastHeartbeat, LastHeartbeatDuration: ps.roundTrip, ClockSkew: ps.skew,
			CanaryAge: ps.lag.Age(ps.applied, now), Acknowledged: ps.acknowledged,
		})
	}
	slices.SortFunc(peers, func(a, b replication.Peer) int { return strings.Compare(a.NodeID, b.NodeID) })
	return peers
}
