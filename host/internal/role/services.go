// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"crypto/x509"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/vault/version"

	"github.com/vault-replication/vault-replication/host/internal/api/rolequery"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Services is what the host does for the plugin of one mode.
type Services struct {
	c    *Controller
	mode replication.Mode
}

var _ replication.Host = (*Services)(nil)

// Services returns the host's services for the plugin of a mode.
func (c *Controller) Services(mode replication.Mode) *Services { return &Services{c: c, mode: mode} }

// in says whether the node is active in one of the roles; what the plugin asks
// for means nothing otherwise.
func (s *Services) in(roles ...replication.Role) error {
	if _, err := s.c.active(); err != nil {
		return err
	}
	have := s.c.Role(s.mode)
	for _, r := range roles {
		if have == r {
			return nil
		}
	}
	return replication.Errorf(replication.Unavailable, "this cluster is no %s %v now (its role is %q)", s.mode, roles,
		have)
}

// Started is called by the supervisor each time a plugin process has been
// started anew. While the node is not active there is nothing to begin.
func (s *Services) Started(ctx context.Context, b replication.Backend) error {
	if _, err := s.c.active(); err != nil {
		return nil //nolint:nilerr // a node that is not active gives no role
	}
	return s.c.giveRole(ctx, s.mode, b)
}

// Node implements [replication.Host].
func (s *Services) Node(ctx context.Context) (*replication.Node, error) {
	if _, err := s.c.active(); err != nil {
		return nil, err
	}
	name := ""
	if cl, err := s.c.core.Cluster(context.Background()); err == nil && cl != nil {
		name = cl.Name
	}
	addr := s.c.core.ClusterAddr()
	n := &replication.Node{
		APIAddr: s.c.core.RedirectAddr(), ClusterAddr: addr, ClusterName: name,
		VaultVersion: version.GetVersion().VersionNumber(), Now: time.Now(),
	}
	if addr != "" {
		n.ClusterAddrs = []string{addr}
		// The other nodes, for a secondary to try when this one leads no more.
		for _, other := range s.c.core.NodeAddrs(ctx) {
			if other != addr {
				n.ClusterAddrs = append(n.ClusterAddrs, other)
			}
		}
	}
	if !s.mode.StandsIn() {
		n.FailoverAddrs = s.c.failoverAddrs(ctx)
	}
	return n, nil
}

// GetState implements [replication.Host].
func (s *Services) GetState(ctx context.Context, key string) ([]byte, error) {
	if err := checkStateName(key); err != nil {
		return nil, err
	}
	return s.c.core.GetEntry(ctx, statePrefix(s.mode)+key)
}

// PutState implements [replication.Host].
func (s *Services) PutState(ctx context.Context, key string, value []byte) error {
	if err := checkState(key, value); err != nil {
		return err
	}
	if _, err := s.c.active(); err != nil {
		return err
	}
	if err := s.roomForState(ctx, key); err != nil {
		return err
	}
	return s.c.core.PutEntry(ctx, statePrefix(s.mode)+key, value)
}

// stateRecordsMax is how many records a plugin may have; it has a few of each secondary.
const stateRecordsMax = 4096

// roomForState refuses a record that is one too many.
func (s *Services) roomForState(ctx context.Context, key string) error {
	now, err := s.c.core.GetEntry(ctx, statePrefix(s.mode)+key)
	if err != nil || now != nil {
		return err
	}
	names, err := listBelow(ctx, s.c.core, statePrefix(s.mode))
	if err == nil && len(names) >= stateRecordsMax {
		err = replication.Errorf(replication.InvalidInput, "the replication plugin has %d records, and more are not taken: "+
			"the record %q was not stored", len(names), key)
	}
	return err
}

// DeleteState implements [replication.Host].
func (s *Services) DeleteState(ctx context.Context, key string) error {
	if err := checkStateName(key); err != nil {
		return err
	}
	return s.c.core.DeleteEntry(ctx, statePrefix(s.mode)+key)
}

// ListState implements [replication.Host].
func (s *Services) ListState(ctx context.Context, prefix string) ([]string, error) {
	all, err := listBelow(ctx, s.c.core, statePrefix(s.mode))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(all))
	for _, n := range all {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// Listen implements [replication.Host].
func (s *Services) Listen(_ context.Context, req replication.ListenRequest) error {
	if err := s.in(replication.Primary); err != nil {
		return err
	}
	admit := func(ctx context.Context, leaf *x509.Certificate) (string, error) {
		return s.c.paired.Admit(ctx, s.mode, leaf)
	}
	return s.c.port.Listen(s.mode, req, admit, func(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error {
		b := s.c.plugins.Running(s.mode)
		if b == nil {
			return replication.Errorf(replication.Unavailable, "the replication plugin is not running")
		}
		return b.ServeConn(ctx, conn, peer)
	})
}

// StopListening implements [replication.Host].
func (s *Services) StopListening(context.Context) error {
	s.c.port.StopAccepting(s.mode)
	return nil
}

// Dial implements [replication.Host].
func (s *Services) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	if _, err := s.c.active(); err != nil {
		return nil, err
	}
	return s.c.port.Dial(ctx, s.mode, req)
}

// RoleAt implements [replication.Host].
func (s *Services) RoleAt(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	if _, err := s.c.active(); err != nil {
		return nil, err
	}
	return rolequery.Ask(ctx, s.mode, apiAddr)
}

// to is what this primary's host says to the secondary of an id.
func (s *Services) to(ctx context.Context, id string) (*proof.Primary, error) {
	if err := s.in(replication.Primary); err != nil {
		return nil, err
	}
	return s.c.relations.toSecondary(ctx, s.mode, id)
}

// Position implements [replication.Host].
func (s *Services) Position(ctx context.Context, id string) (*replication.JournalPosition, error) {
	p, err := s.to(ctx, id)
	if err != nil {
		return nil, err
	}
	return p.Position()
}

// OpenSlot implements [replication.Host].
func (s *Services) OpenSlot(ctx context.Context, id string, secondary replication.Proof) (*replication.Opening, error) {
	p, err := s.to(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.c.tap.HistoryLost() {
		observer{s.c}.HistoryLost() // it may have failed before
	}
	return p.OpenSlot(ctx, secondary)
}

// AckSlot implements [replication.Host].
func (s *Services) AckSlot(ctx context.Context, id string, at replication.Position, secondary replication.Proof) error {
	p, err := s.to(ctx, id)
	if err != nil {
		return err
	}
	if err := p.AckSlot(ctx, at, secondary); err != nil {
		return err
	}
	s.c.relations.held(s.mode)
	return nil
}

// CloseSlot implements [replication.Host].
func (s *Services) CloseSlot(ctx context.Context, id string) error {
	if _, err := s.c.active(); err != nil {
		return err
	}
	return s.c.tap.CloseSlot(ctx, s.mode, id)
}

// ReadJournal implements [replication.Host].
func (s *Services) ReadJournal(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader,
	error) {
	p, err := s.to(ctx, req.SlotID)
	if err != nil {
		return nil, err
	}
	return p.ReadJournal(ctx, req.After, req.Proof)
}

// ReadRange implements [replication.Host].
func (s *Services) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	p, err := s.to(ctx, req.SlotID)
	if err != nil {
		return nil, err
	}
	return p.ReadRange(ctx, req.After, req.Proof)
}

// AnswerDiff implements [replication.Host].
func (s *Services) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	p, err := s.to(ctx, req.SlotID)
	if err != nil {
		return nil, err
	}
	return p.AnswerDiff(ctx, req.Question)
}

// SealHandover implements [replication.Host].
func (s *Services) SealHandover(ctx context.Context, req replication.SealHandoverRequest) (*replication.Handover,
	error) {
	if err := s.in(replication.Primary); err != nil {
		return nil, err
	}
	pairing, err := s.c.paired.Key(ctx, s.mode, req.SecondaryID)
	if err != nil {
		return nil, err
	}
	defer clear(pairing)
	m, err := handover.Collect(ctx, s.c.core, s.c.store, s.mode)
	if err != nil {
		return nil, err
	}
	defer m.Wipe()
	if s.mode.Filtered() {
		// What its filter lets in while the first copy runs is known only against the
		// one that it began with.
		if err := m.AddFilter(ctx, s.c.store, filters.Key(req.SecondaryID)); err != nil {
			return nil, err
		}
	}
	mr := s.c.Record().mode(s.mode)
	m.VaultVersion = version.GetVersion().VersionNumber()
	limits := s.c.core.StorageLimits()
	m.Storage = &limits
	m.SetID, m.Epoch, m.IndexKey = mr.SetID, mr.Epoch, mr.IndexKey
	sealed, err := handover.Seal(pairing, handover.Binding{
		Mode: s.mode, SetID: mr.SetID, SecondaryID: req.SecondaryID, Challenge: req.Challenge,
	}, m)
	if err != nil {
		return nil, replication.Errorf(replication.InvalidInput, "the key material cannot be sealed: %w", err)
	}
	return &replication.Handover{Sealed: sealed}, nil
}

// resumeWait bounds how long a new session waits for an apply of the former one.
const resumeWait = 5 * time.Second

// Cursor implements [replication.Host].
func (s *Services) Cursor(ctx context.Context) (*replication.Cursor, error) {
	if s.in(replication.Secondary) == nil {
		// What it brings is said again by what is applied next.
		_, _ = s.resume(ctx)
	}
	cur, _, err := s.c.ring.Cursor(ctx, s.mode)
	if err != nil {
		return nil, err
	}
	must, err := s.c.tap.Secondary(s.mode).MustCopy(ctx)
	if err != nil {
		return nil, err
	}
	if must {
		// What it has is not of use to go on from.
		cur.Position = replication.Position{}
	}
	p, err := s.c.relations.toPrimary(s.mode)
	if err != nil {
		return nil, err
	}
	return p.Prove(cur), nil
}

// applying lets what arrives be applied by a secondary, as long as its role does not
// change.
func applying[T any](s *Services, do func(*proof.Secondary) (T, error)) (T, error) {
	s.c.applies.RLock()
	defer s.c.applies.RUnlock()
	var none T
	if err := s.in(replication.Secondary); err != nil {
		return none, err
	}
	p, err := s.c.relations.toPrimary(s.mode)
	if err != nil {
		return none, err
	}
	v, err := do(p)
	if err != nil {
		return none, err
	}
	s.c.relations.held(s.mode)
	return v, nil
}

// resume has what is owed to the core taken up before a session goes on.
func (s *Services) resume(ctx context.Context) (*replication.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, resumeWait)
	defer cancel()
	return s.c.tap.Secondary(s.mode).Resume(ctx)
}

// BeginCopy implements [replication.Host].
func (s *Services) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	return applying(s, func(p *proof.Secondary) (*replication.Cursor, error) { return p.BeginCopy(ctx, from) })
}

// ApplyRange implements [replication.Host].
func (s *Services) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	return applying(s, func(p *proof.Secondary) (*replication.Cursor, error) { return p.ApplyRange(ctx, r) })
}

// Diff implements [replication.Host].
func (s *Services) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	return applying(s, func(p *proof.Secondary) (*replication.DiffStep, error) { return p.Diff(ctx, answer) })
}

// Verify implements [replication.Host].
func (s *Services) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	_, err := applying(s, func(p *proof.Secondary) (struct{}, error) {
		return struct{}{},
			p.Verify(ctx, at, fingerprint, primary)
	})
	return err
}

// EndCopy implements [replication.Host].
func (s *Services) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return applying(s, func(p *proof.Secondary) (*replication.Cursor, error) {
		cur, err := p.EndCopy(ctx)
		if err == nil {
			s.c.copied(s.mode)
		}
		return cur, err
	})
}

// ApplyFrame implements [replication.Host].
func (s *Services) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	return applying(s, func(p *proof.Secondary) (*replication.Cursor, error) { return p.ApplyFrame(ctx, f) })
}
