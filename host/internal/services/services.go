// SPDX-License-Identifier: MPL-2.0

// Package services carries out the calls of a plugin: it keeps the plugin's records, carries its connections, and reads
// and applies replicated content. It sees the role through interfaces of its own.
package services

import (
	"context"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/version"

	"github.com/vault-replication/vault-replication/host/internal/api/rolequery"
	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Roles says what the cluster is.
type Roles interface {
	// Active is the context of the active duty, or an error that says there is none.
	Active() (context.Context, error)
	// Role is the present role in a mode.
	Role(mode replication.Mode) replication.Role
	// Set is what all clusters of the set in a mode have in common.
	Set(mode replication.Mode) (id string, epoch replication.Epoch, indexKey []byte)
}

// Sessions are the sessions of the plugins on this node.
type Sessions interface {
	// Plugin is the plugin of a mode if it was started, nil otherwise.
	Plugin(mode replication.Mode) replication.Backend
	// FailoverAddrs are the cluster addresses of the secondaries that stand in for this
	// cluster, nil while they are not known.
	FailoverAddrs(ctx context.Context) []string
}

// Content is told what happens to the replicated content.
type Content interface {
	// Applying runs an apply while no role changes.
	Applying(apply func() error) error
	// Copied is called when a copy has ended.
	Copied(mode replication.Mode)
	// HistoryLost is called when a secondary has rows that this primary's storage has lost.
	HistoryLost()
}

// Options are what the services work with.
type Options struct {
	Roles    Roles
	Sessions Sessions
	Content  Content
	Core     *vaultcore.Core
	Tap      *storage.Tap
	// Store is the storage below the tap.
	Store     physical.Backend
	Port      *cluster.Port
	Paired    *pairing.Book
	Relations *relations.Relations
	Ring      *keys.Ring
	// Receive carries out a message that a secondary's host has sealed for this host.
	Receive func(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error)
}

// Services is what the host does for the plugin of one mode.
type Services struct {
	Options

	mode replication.Mode
}

var _ replication.Host = (*Services)(nil)

// New returns the host's services for the plugin of a mode.
func New(mode replication.Mode, o Options) *Services { return &Services{Options: o, mode: mode} }

// in is an error unless the node is active in one of the roles. Otherwise the plugin's call makes no sense.
func (s *Services) in(roles ...replication.Role) error {
	if _, err := s.Roles.Active(); err != nil {
		return err
	}
	have := s.Roles.Role(s.mode)
	if slices.Contains(roles, have) {
		return nil
	}
	return replication.Errorf(replication.Unavailable, "this cluster is no %s %v now (its role is %q)", s.mode, roles,
		have)
}

// Node implements [replication.Host].
func (s *Services) Node(ctx context.Context) (*replication.Node, error) {
	if _, err := s.Roles.Active(); err != nil {
		return nil, err
	}
	name := ""
	if cl, err := s.Core.Cluster(context.Background()); err == nil && cl != nil {
		name = cl.Name
	}
	addr := s.Core.ClusterAddr()
	n := &replication.Node{
		APIAddr: s.Core.RedirectAddr(), ClusterAddr: addr, ClusterName: name,
		VaultVersion: version.GetVersion().VersionNumber(), Now: time.Now(),
	}
	if addr != "" {
		// The other nodes, which a secondary tries when this one does not lead any more.
		others := slices.DeleteFunc(s.Core.NodeAddrs(ctx), func(other string) bool { return other == addr })
		n.ClusterAddrs = append([]string{addr}, others...)
	}
	if !s.mode.StandsIn() {
		n.Failover = s.Sessions.FailoverAddrs(ctx)
	}
	return n, nil
}

// GetState implements [replication.Host].
func (s *Services) GetState(ctx context.Context, key string) ([]byte, error) {
	if err := records.CheckName(key); err != nil {
		return nil, err
	}
	return s.Core.GetEntry(ctx, records.OfPlugin(s.mode)+key)
}

// PutState implements [replication.Host].
func (s *Services) PutState(ctx context.Context, key string, value []byte) error {
	if err := records.Check(key, value); err != nil {
		return err
	}
	if _, err := s.Roles.Active(); err != nil {
		return err
	}
	if err := s.roomForState(ctx, key); err != nil {
		return err
	}
	return s.Core.PutEntry(ctx, records.OfPlugin(s.mode)+key, value)
}

// StateRecordsMax is how many records a plugin may have. It has a few for each secondary.
const StateRecordsMax = 4096

// roomForState refuses a record that is one too many.
func (s *Services) roomForState(ctx context.Context, key string) error {
	now, err := s.Core.GetEntry(ctx, records.OfPlugin(s.mode)+key)
	if err != nil || now != nil {
		return err
	}
	names, err := records.Below(ctx, s.Core, records.OfPlugin(s.mode))
	if err == nil && len(names) >= StateRecordsMax {
		err = replication.Errorf(replication.InvalidInput, "the replication plugin has %d records, and more are not taken: "+
			"the record %q was not stored", len(names), key)
	}
	return err
}

// DeleteState implements [replication.Host].
func (s *Services) DeleteState(ctx context.Context, key string) error {
	if err := records.CheckName(key); err != nil {
		return err
	}
	return s.Core.DeleteEntry(ctx, records.OfPlugin(s.mode)+key)
}

// ListState implements [replication.Host].
func (s *Services) ListState(ctx context.Context, prefix string) ([]string, error) {
	all := records.OfPlugin(s.mode)
	names, err := records.Below(ctx, s.Core, all)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	return records.WithoutRemains(ctx, s.Core, s.Store, all, names), err
}

// Listen implements [replication.Host].
func (s *Services) Listen(_ context.Context, req replication.ListenRequest) error {
	if err := s.in(replication.Primary); err != nil {
		return err
	}
	admit := func(ctx context.Context, leaf *x509.Certificate) (string, error) {
		return s.Paired.Admit(ctx, s.mode, leaf)
	}
	return s.Port.Listen(s.mode, req, admit, func(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error {
		b := s.Sessions.Plugin(s.mode)
		if b == nil {
			return replication.Errorf(replication.Unavailable, "the replication plugin is not running")
		}
		return b.ServeConn(ctx, conn, peer)
	})
}

// StopListening implements [replication.Host].
func (s *Services) StopListening(context.Context) error {
	s.Port.StopAccepting(s.mode)
	return nil
}

// Dial implements [replication.Host].
func (s *Services) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	if _, err := s.Roles.Active(); err != nil {
		return nil, err
	}
	return s.Port.Dial(ctx, s.mode, req)
}

// RoleAt implements [replication.Host].
func (s *Services) RoleAt(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	if _, err := s.Roles.Active(); err != nil {
		return nil, err
	}
	return rolequery.Ask(ctx, s.mode, apiAddr)
}

// to proves what this primary's host tells a secondary.
func (s *Services) to(ctx context.Context, id string) (*proof.Primary, error) {
	if err := s.in(replication.Primary); err != nil {
		return nil, err
	}
	return s.Relations.ToSecondary(ctx, s.mode, id)
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
	if s.Tap.HistoryLost() {
		s.Content.HistoryLost() // it may have failed before
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
	s.Relations.Held(s.mode)
	return nil
}

// CloseSlot implements [replication.Host].
func (s *Services) CloseSlot(ctx context.Context, id string) error {
	if _, err := s.Roles.Active(); err != nil {
		return err
	}
	return s.Tap.CloseSlot(ctx, s.mode, id)
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
	pairing, err := s.Paired.Key(ctx, s.mode, req.SecondaryID)
	if err != nil {
		return nil, err
	}
	defer clear(pairing)
	m, err := handover.Collect(ctx, s.Core, s.Store, s.mode)
	if err != nil {
		return nil, err
	}
	defer m.Wipe()
	if s.mode.Filtered() {
		// Mounts that its filter lets in during the first copy are only found by comparison with the filter at its begin.
		if err := m.AddFilter(ctx, s.Store, filters.Key(req.SecondaryID)); err != nil {
			return nil, err
		}
	}
	m.VaultVersion = version.GetVersion().VersionNumber()
	limits := s.Core.StorageLimits()
	m.Storage = &limits
	m.SetID, m.Epoch, m.IndexKey = s.Roles.Set(s.mode)
	if m.History, err = history.Load(ctx, s.Core, s.mode); err != nil {
		return nil, err
	}
	sealed, err := handover.Seal(pairing, handover.Binding{
		Mode: s.mode, SetID: m.SetID, SecondaryID: req.SecondaryID, Challenge: req.Challenge,
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
		// An error comes again with the next apply.
		_, _ = s.resume(ctx)
	}
	cur, _, err := s.Ring.Cursor(ctx, s.mode)
	if err != nil {
		return nil, err
	}
	must, err := s.Tap.Secondary(s.mode).MustCopy(ctx)
	if err != nil {
		return nil, err
	}
	if must {
		// The content is no base to go on from.
		cur.Position = replication.Position{}
	}
	p, err := s.Relations.ToPrimary(s.mode)
	if err != nil {
		return nil, err
	}
	return p.Prove(cur), nil
}

// applying runs an apply on a secondary while its role does not change.
func applying[T any](s *Services, do func(*proof.Secondary) (T, error)) (v T, err error) {
	err = s.Content.Applying(func() error {
		if err := s.in(replication.Secondary); err != nil {
			return err
		}
		p, err := s.Relations.ToPrimary(s.mode)
		if err != nil {
			return err
		}
		if v, err = do(p); err == nil {
			s.Relations.Held(s.mode)
		}
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// resume has the owed keys taken up before a session goes on.
func (s *Services) resume(ctx context.Context) (*replication.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, resumeWait)
	defer cancel()
	return s.Tap.Secondary(s.mode).Resume(ctx)
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
			s.Content.Copied(s.mode)
		}
		return cur, err
	})
}

// ApplyFrame implements [replication.Host].
func (s *Services) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	return applying(s, func(p *proof.Secondary) (*replication.Cursor, error) { return p.ApplyFrame(ctx, f) })
}

// Receive implements [replication.Host].
func (s *Services) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	if err := s.in(replication.Primary); err != nil {
		return nil, err
	}
	if !s.mode.ServesClients() {
		return nil, replication.Errorf(replication.InvalidInput, "a %s primary carries out nothing for its "+
			"secondaries", s.mode.Name())
	}
	return s.Options.Receive(ctx, req)
}
