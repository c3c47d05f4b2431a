// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"slices"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// hostPatience is how long a call of the host may take. Then the connection that waits for
// it is closed.
const hostPatience = time.Minute

// Hello implements link.v1.
func (s *Server) Hello(ctx context.Context, req *linkv1.HelloRequest) (*linkv1.HelloResponse, error) {
	pc, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	version, cursor, err := s.checkHello(pc, req)
	if err != nil {
		return nil, err
	}
	pc.expect(hostPatience)
	ps := s.sessions.peer(pc.id)
	// Each secondary has one Hello at a time. Two decisions at once would open two slots.
	if err := ps.hello.Enter(ctx); err != nil {
		return nil, err
	}
	defer ps.hello.Leave()
	if err := s.pace.wait(ctx, pc.id); err != nil {
		return nil, err
	}
	if err := pc.stopStreaming(ctx); err != nil {
		return nil, err
	}
	now, err := s.host.Position(ctx, pc.id)
	if err != nil {
		return nil, err
	}
	if err := link.CheckRelation(link.CursorEpoch(cursor), now.Position.Epoch); err != nil {
		s.logger.Error("refused a secondary of another history", "id", pc.id, "error", err)
		return nil, err
	}
	node, err := s.host.Node(ctx)
	if err != nil {
		return nil, err
	}
	pc.bidsFarewell.Store(slices.Contains(req.GetCapabilities(), link.Farewell))
	theirs := link.FromNode(req.GetNode())
	decision, from, err := s.replace(ps, pc, now.Position.Epoch, theirs,
		func() (linkv1.Decision, *replication.Opening, error) {
			return s.decide(ctx, pc.id, cursor, req.GetCopyWanted(), now.Position)
		})
	if err != nil {
		return nil, err
	}
	s.keepNode(ctx, pc.id, theirs)
	s.logger.Info("a secondary connected", "id", pc.id, "decision", decision.String(), "from", from.Position.String())
	pc.expect(s.cfg.LossAfter)
	return &linkv1.HelloResponse{
		Version:      version,
		Capabilities: link.Capabilities(),
		SetId:        s.authority.SetID(),
		Position:     mirror.Message[commonv1.Position](&now.Position),
		Decision:     decision,
		From:         mirror.Message[commonv1.Position](&from.Position),
		Proof:        from.Proof,
		Keys:         now.Keys,
		Node:         s.node(node, pc.id),
		Clock:        time.Now().UnixNano(),
	}, nil
}

// replace makes a connection the session of its secondary, at the position that decide returns. By decide the host has
// checked the proof of the secondary: its certificate alone replaces no session.
func (s *Server) replace(ps *peerState, pc *peerConn, epoch replication.Epoch, node link.NodeInfo,
	decide func() (linkv1.Decision, *replication.Opening, error)) (linkv1.Decision, *replication.Opening, error) {
	if err := s.sessions.mayReplace(ps, pc, node); err != nil {
		return 0, nil, err
	}
	decision, from, err := decide()
	if err != nil {
		return 0, nil, err
	}
	older, err := s.sessions.attach(ps, pc, epoch, node)
	if older == nil || err != nil {
		return decision, from, err
	}
	s.logger.Info("a newer session of a secondary replaces the older", "id", pc.id)
	_ = older.Close()
	// The older one may have moved the slot on meanwhile.
	return decide()
}

// checkHello returns the version of a session, and the secondary's cursor.
func (s *Server) checkHello(pc *peerConn, req *linkv1.HelloRequest) (uint32, *replication.Cursor, error) {
	version, err := link.Agree(req.GetVersion(), req.GetOldestVersion())
	if err != nil {
		return 0, nil, err
	}
	if err := s.checkCaller(pc, req.GetSetId(), req.GetSecondaryId()); err != nil {
		return 0, nil, err
	}
	if req.GetFailover() && s.cfg.Contested {
		s.logger.Warn("refused a secondary that came by itself: this cluster was promoted while its primary was connected",
			"id", pc.id)
		return 0, nil, errContested
	}
	cursor, err := link.FromCursor(req.GetCursor())
	return version, cursor, err
}

// errContested keeps the secondaries of a primary away from a cluster that was promoted beside that primary: in a
// drill, or because operators could not reach each other.
var errContested = replication.Errorf(replication.Unavailable,
	"this cluster was promoted while its primary was connected, so no secondary changes over to it by itself: use "+
		"update-primary on the secondary if it is to follow this cluster")

// Bootstrap implements link.v1.
func (s *Server) Bootstrap(ctx context.Context, req *linkv1.BootstrapRequest) (*linkv1.BootstrapResponse, error) {
	pc, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := link.Agree(req.GetVersion(), req.GetOldestVersion()); err != nil {
		return nil, err
	}
	if err := s.checkCaller(pc, req.GetSetId(), req.GetSecondaryId()); err != nil {
		return nil, err
	}
	if n := len(req.GetChallenge()); n > link.ChallengeMax {
		return nil, replication.Errorf(replication.InvalidInput, "the challenge of the joining cluster has %d bytes, %d "+
			"are allowed", n, link.ChallengeMax)
	}
	pc.expect(hostPatience)
	if err := s.pace.wait(ctx, pc.id); err != nil {
		return nil, err
	}
	handover, err := s.host.SealHandover(ctx, replication.SealHandoverRequest{SecondaryID: pc.id,
		Challenge: req.GetChallenge()})
	if err != nil {
		return nil, err
	}
	if n := len(handover.Sealed); n > link.HandoverMax {
		return nil, replication.Errorf(replication.Internal, "what a joining secondary needs has %d bytes, %d are allowed: "+
			"report this with the number of mounts", n, link.HandoverMax)
	}
	node, err := s.host.Node(ctx)
	if err != nil {
		return nil, err
	}
	s.logger.Info("a secondary joins", "id", pc.id)
	pc.expect(s.cfg.LossAfter)
	return &linkv1.BootstrapResponse{Sealed: handover.Sealed, Node: s.node(node, pc.id)}, nil
}

// node is what this cluster tells a secondary of its nodes.
func (s *Server) node(n *replication.Node, id string) *linkv1.Node {
	var first []string
	if a := s.authority.PrimaryClusterAddr(); a != "" {
		first = []string{a}
	}
	w := link.ToNode(n, first...)
	w.PeerApiAddrs = s.sessions.apis(id)
	return w
}

// checkCaller compares what the caller says with what its certificate proved.
func (s *Server) checkCaller(pc *peerConn, setID, id string) error {
	switch {
	case setID != s.authority.SetID():
		return replication.Errorf(replication.InvalidInput, "the secondary belongs to another replication set than this "+
			"primary (%s): join it with an activation token of this primary", s.authority.SetID())
	case id != pc.id:
		return replication.Errorf(replication.Denied, "the certificate is that of the secondary %q: a secondary cannot use "+
			"another one's", pc.id)
	}
	return nil
}
