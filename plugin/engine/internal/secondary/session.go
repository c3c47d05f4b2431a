// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// session is one connection whose Hello was answered.
type session struct {
	address string
	conn    *grpc.ClientConn
	active  *link.ActiveConn
	link    linkv1.LinkClient
	cursor  *replication.Cursor
	// epoch is the primary's. from is where the decision begins.
	epoch    replication.Epoch
	decision linkv1.Decision
	from     replication.Opening
	keys     uint64
	forwards *link.Forwards
}

// open begins a session on a connection. If it cannot it closes the connection. Failover
// says that the address is not one of the primary's.
func (c *Client) open(ctx context.Context, raw net.Conn, address string, failover bool) (*session, error) {
	active := link.NewActiveConn(raw)
	conn, err := link.NewClientConn(active)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	s, err := c.hello(ctx, &session{address: address, conn: conn, active: active, link: linkv1.NewLinkClient(conn)},
		failover)
	if err != nil {
		_ = conn.Close()
		if why := link.Refused(raw); why != nil {
			err = &refusal{why}
		}
		return nil, err
	}
	return s, nil
}

// hello asks the primary how to go on, over the connection of a session. A new Hello ends
// the stream of an older one.
func (c *Client) hello(ctx context.Context, over *session, failover bool) (*session, error) {
	cursor, err := c.host.Cursor(ctx)
	if err != nil {
		return nil, err
	}
	node, err := c.host.Node(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	sent := time.Now()
	resp, err := over.link.Hello(ctx, &linkv1.HelloRequest{
		Version: link.ProtocolVersion, OldestVersion: link.OldestVersion, Capabilities: link.Capabilities(),
		SetId: c.bundle.SetID, SecondaryId: c.bundle.SecondaryID, Cursor: link.ToCursor(cursor), CopyWanted: c.copyWanted,
		Node: link.ToNode(node), Clock: sent.UnixNano(), Failover: failover,
	})
	if err != nil {
		err = link.FromStatus(err)
		switch replication.KindOf(err) {
		case replication.Denied, replication.InvalidInput:
			return nil, &refusal{err}
		}
		return nil, err
	}
	received := time.Now()
	s := &session{
		address: over.address, conn: over.conn, active: over.active, link: over.link,
		cursor: cursor, decision: resp.GetDecision(), keys: resp.GetKeys(),
		forwards: link.NewForwards(resp.GetCapabilities()),
	}
	position, err := c.checkHello(resp, s)
	if err != nil {
		return nil, &refusal{err}
	}
	c.logger.Debug("the primary has answered", "version", resp.GetVersion(), "capabilities", resp.GetCapabilities())
	peer := link.FromNode(resp.GetNode())
	if failover {
		if err := c.addresses.Move(ctx, s.address, peer); err != nil {
			return nil, err
		}
	}
	c.status.connected(s, position, peer)
	c.status.heard(position, time.Unix(0, resp.GetClock()), sent, received)
	if err := c.known.meet(ctx); err != nil {
		return nil, err
	}
	c.learn(ctx, s.address, peer)
	return s, nil
}

// checkHello checks the primary's answer against what this cluster has.
func (c *Client) checkHello(resp *linkv1.HelloResponse, s *session) (replication.Position, error) {
	if err := link.CheckVersion(resp.GetVersion()); err != nil {
		return replication.Position{}, err
	}
	position, err := link.FromPosition(resp.GetPosition())
	if err != nil {
		return position, err
	}
	if s.from.Position, err = link.FromPosition(resp.GetFrom()); err != nil {
		return position, err
	}
	if s.from.Proof = resp.GetProof(); link.CheckProof(s.from.Proof) != nil {
		return position, link.CheckProof(s.from.Proof)
	}
	s.epoch = position.Epoch
	if resp.GetSetId() != c.bundle.SetID {
		return position, replication.Errorf(replication.InvalidInput, "the primary at %s belongs to another replication "+
			"set than this secondary (%s): use update-primary with a token of this set", s.address, c.bundle.SetID)
	}
	if err := link.CheckRelation(link.CursorEpoch(s.cursor), position.Epoch); err != nil {
		return position, err
	}
	fits := false
	switch s.decision {
	case linkv1.Decision_DECISION_RESUME:
		fits = !s.cursor.Copying && s.from.Position == s.cursor.Position
	case linkv1.Decision_DECISION_RESUME_COPY:
		fits = s.cursor.Copying && s.from.Position == s.cursor.CopyFrom
	case linkv1.Decision_DECISION_COPY:
		fits = true
	case linkv1.Decision_DECISION_UNSPECIFIED:
	}
	if !fits || s.epoch.IsZero() || s.from.Position.Epoch != s.epoch {
		return position, replication.Errorf(replication.InvalidInput, "the primary's answer does not fit what this "+
			"secondary has: run the same release on both clusters")
	}
	return position, nil
}

// follow keeps a session until its link fails. Forwarded requests go on even while the primary's rows cannot be taken
// up.
func (c *Client) follow(parent context.Context, s *session) (progressed bool, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	var heartbeats sync.WaitGroup
	heartbeats.Go(func() { cancel(c.heartbeat(ctx, s)) })
	defer heartbeats.Wait()
	defer func() { _ = s.conn.Close() }()
	defer cancel(nil)
	// This comes before a copy: forwarded requests need not wait for it.
	c.live.Store(s)
	defer c.live.Store(nil)

	for now := s; err == nil; {
		moved := false
		why := c.attempt(ctx, now, &moved)
		progressed = progressed || moved || c.status.held()
		if ctx.Err() != nil || !stalls(why) {
			err = why
			break
		}
		if moved || c.status.held() {
			c.retry.Reset()
		}
		now, err = c.again(ctx, now, why)
	}
	if ctx.Err() != nil && parent.Err() == nil {
		// The heartbeat noticed first, and its cause says more.
		err = context.Cause(ctx)
	}
	return progressed, err
}

func (c *Client) copyAndStream(ctx context.Context, s *session, progressed *bool) error {
	switch s.decision {
	case linkv1.Decision_DECISION_COPY, linkv1.Decision_DECISION_RESUME_COPY:
		if err := c.copy(ctx, s, progressed); err != nil {
			return err
		}
	case linkv1.Decision_DECISION_RESUME, linkv1.Decision_DECISION_UNSPECIFIED:
	}
	return c.stream(ctx, s, progressed)
}
