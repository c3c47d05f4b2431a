// SPDX-License-Identifier: MPL-2.0

// Package serving is what a node of a performance set does for its clients: on a secondary
// it forwards what is not the secondary's to write and makes the running core follow the
// primary; on a primary it carries out what is forwarded.
package serving

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/entity"
	"github.com/vault-replication/vault-replication/host/follow"
	"github.com/vault-replication/vault-replication/host/forward"
	"github.com/vault-replication/vault-replication/host/forward/wire"
	"github.com/vault-replication/vault-replication/host/mounttable"
	"github.com/vault-replication/vault-replication/host/role/filters"
	"github.com/vault-replication/vault-replication/host/role/mounts"
	"github.com/vault-replication/vault-replication/host/routing"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/vaultcore"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Set is the performance set that this cluster is in; role.Set is one.
type Set interface {
	// Serves says whether this cluster is a secondary that serves clients.
	Serves() bool
	// Inert says whether the engines of this cluster are inert now.
	Inert() bool
	// Consistent says whether the content of this secondary is exactly that of its primary
	// at one position.
	Consistent(ctx context.Context) bool

	// Relation names the relation of a secondary to its primary and the key that the two
	// hosts share.
	Relation() (setID, secondaryID string, key []byte)
	// Forward carries sealed bytes to the host of the primary.
	Forward(ctx context.Context, payload []byte) ([]byte, error)
	// Forwarded notes a position that an answer of the primary has named.
	Forwarded(at replication.Position)
	// WaitApplied waits until a position of the primary was applied here and taken up by
	// the core.
	WaitApplied(ctx context.Context, at replication.Position) error

	// SetID is the id of the set.
	SetID() string
	// PairingKey is the key that this primary shares with a secondary.
	PairingKey(ctx context.Context, id string) ([]byte, error)
	// Position is that of this primary, with every write that was answered.
	Position() (replication.Position, error)
}

// Requests are those that this node carries out; rolechange.Gate keeps them.
type Requests interface {
	// Enter admits one, which ends with the context when the role changes. It is not ok
	// while that is under way.
	Enter(ctx context.Context) (in context.Context, leave func(), ok bool)
}

// Options are what a Server works with.
type Options struct {
	Core     *vaultcore.Core
	Tap      *storage.Tap
	Set      Set
	Mounts   *mounts.Learner
	Filters  *filters.Filters
	Hiding   *filters.Hiding
	Requests Requests
	// BestEffortWait bounds how long an answer waits for its writes to arrive here.
	BestEffortWait time.Duration
	Logger         hclog.Logger
}

// Server serves the clients of one node.
type Server struct {
	Options

	live     *vaultcore.Live
	follower *follow.Follower
	identity *vaultcore.Identity
	entities *entity.Secondary
	server   *forward.Server
	// plan makes the wrappers of a secondary.
	plan routing.Options
	// limit is how long a client's request may take, of the listeners the longest.
	limit atomic.Int64

	mu sync.Mutex
	// client belongs to the relation to one primary.
	client   *forward.Client
	relation relation
}

type relation struct{ set, id, key string }

// New makes the server and attaches it to the core, which is sealed still.
func New(o Options) *Server {
	s, core, logger := &Server{Options: o}, o.Core, o.Logger
	s.identity = vaultcore.NewIdentity(core, &routing.Readers{})
	s.entities = entity.NewSecondary(s.identity, s, s, logger.Named("identity"))
	s.plan = routing.Options{Forwarder: s, Refusals: o.Tap.Refusals(), AfterAuth: s.afterAuth, Replaced: s.wrap}
	hidden := func(table string, e mounttable.Entry) bool {
		return o.Hiding.Hides(vaultname.RequestPath(table, e.Path), e.UUID)
	}
	s.live = core.Live(s.wrapEntry, o.Hiding.ClearView)
	s.follower = follow.New(s.live, logger.Named("follow"), follow.Options{Hidden: hidden})
	s.server = forward.NewServer(forward.ServerOptions{
		KeyOf: o.Set.PairingKey, SetID: o.Set.SetID, Position: o.Set.Position, Logger: logger.Named("forward"),
	})
	receiver := &routing.Receiver{Core: core, Allowed: o.Filters.Sends, Logger: logger.Named("forward")}
	s.server.HandleRequests(receiver.Handle)
	identities := entity.NewServer(entity.ServerOptions{
		Store: s.identity, Audit: core, Allowed: o.Filters.Sends, Logger: logger.Named("identity"),
	})
	for kind, handle := range identities.Handlers() {
		s.server.Handle(forward.Kind(kind), forward.Handler(handle))
	}
	core.HideMounts(hidden)
	core.TolerateAuditFailures(s.follower.AuditDevice)
	core.OnBackendsReady(s.ready)
	for kind, name := range map[string]string{"identity": vaultname.Identity, "token": vaultname.Token} {
		core.OnCoreBackend(kind, func(b *framework.Backend) error { return s.Decorate(b, name) })
	}
	return s
}

// Decorate makes one of the core's own backends forward what is the primary's. It
// runs each time that backend is made, in the role that the cluster has then.
func (s *Server) Decorate(b *framework.Backend, kind string) error {
	if kind == vaultname.Token {
		err := entity.DecorateTokenCreate(b, func() entity.Ensurer {
			if s.Set.Serves() {
				return s.entities
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if kind == vaultname.System {
		routing.After(b, []string{"mounts/", "auth/", "plugins/reload/"}, s.learn)
	}
	if !s.Set.Serves() {
		return nil
	}
	if kind == vaultname.Identity {
		s.identity.WatchReaders(b)
	}
	unnamed, err := routing.DecorateForward(b, kind, s, s)
	if len(unnamed) > 0 {
		s.Logger.Debug("these paths are served by this secondary alone", "backend", kind, "paths", unnamed)
	}
	if kind == vaultname.System {
		if reload := routing.DecorateReload(b, s.live); reload != nil {
			return reload
		}
		routing.After(b, []string{"plugins/reload/", "mounts/", "auth/"}, s.wrap)
		// A local mount may have left the place of a shared one, and a plugin may be there
		// now. The request holds the core's state, and an apply may wait for what it does.
		routing.After(b, []string{"plugins/reload/", "mounts/", "auth/", "remount", "audit/"}, s.follower.RecheckSoon)
	}
	return err
}

// LocalAlias implements [routing.Locals].
func (s *Server) LocalAlias(id, accessor string) bool { return s.identity.LocalAlias(id, accessor) }

// LocalMount implements [routing.Locals].
func (s *Server) LocalMount(path string) bool {
	m, ok := s.Core.MountAt(path)
	return ok && m.Local
}

// learn takes up what the backends of all mounts declare as local: at unseal, and
// after a request that may have mounted or replaced one.
func (s *Server) learn() {
	if s.Set.Inert() {
		return // inert backends declare nothing
	}
	for _, m := range s.Core.Mounts() {
		b := s.Core.BackendOf(m.Path)
		if b == nil {
			continue
		}
		if err := s.Mounts.LearnBackend(context.Background(), m, b); err != nil {
			s.Logger.Error("the local storage of a mount could not be learned; its keys are held back from performance secondaries", "mount", m.Path, "error", err)
		}
	}
}

// ready runs at the end of each unseal, before any request is served.
func (s *Server) ready(ctx context.Context) {
	s.learn()
	if !s.Set.Serves() {
		return
	}
	s.wrap()
	if err := s.identity.ForwardWrites(s.entities); err != nil {
		s.Logger.Error("groups and entities that a request of this secondary needs cannot be made on the primary", "error", err)
	}
	s.follower.Start(ctx)
	if err := s.Hiding.ClearHidden(ctx); err != nil {
		s.Logger.Warn("what this secondary has of mounts that its paths filter hides is deleted when it is unsealed next", "error", err)
	}
	// In the middle of a copy an entity that is not there may be on its way.
	if s.Set.Consistent(ctx) {
		if err := s.identity.SweepLocalAliases(ctx); err != nil {
			s.Logger.Warn("aliases of local auth mounts whose entity is gone stay until the next unseal", "error", err)
		}
	}
}

// wrap puts wrappers in front of all backends that have none.
func (s *Server) wrap() {
	if !s.Set.Serves() {
		return
	}
	// Local mounts too: their requests stay here, but a login on one may need an
	// entity that the primary makes.
	err := s.Core.WrapBackends(s.plan.Wrap)
	if err != nil {
		s.Logger.Error("writes to some mounts are refused and not forwarded to the primary", "error", err)
	}
}

// wrapEntry does that for a mount that has come from the primary.
func (s *Server) wrapEntry(e *vault.MountEntry, b logical.Backend) logical.Backend {
	m := vaultcore.MountOf(e)
	if err := s.Mounts.LearnBackend(context.Background(), m, b); err != nil {
		s.Logger.Error("the local storage of a mount could not be learned", "mount", m.Path, "error", err)
	}
	return s.plan.Wrap(m, b)
}

// Applied implements role.Serving.
func (s *Server) Applied(ctx context.Context, keys []string) (left []string) {
	m, ok := s.Core.MountAt("identity/")
	if !ok {
		return keys // the core is not built, or not any more
	}
	rest, rows := splitIdentity(m.StoragePrefix, keys)
	if len(rows) > 0 {
		if err := s.refreshIdentity(ctx, rows); err != nil {
			s.Logger.Error("a change of identity was not taken up; it is tried again", "error", err)
			for _, row := range rows {
				left = append(left, m.StoragePrefix+row)
			}
		}
	}
	if len(rest) > 0 {
		left = append(left, s.follower.Applied(ctx, rest)...)
	}
	return left
}

// splitIdentity takes the rows of the identity store out, relative to its view. Its
// own invalidation is made for rows that come one by one in the order in which the
// primary wrote them, so it is not asked.
func splitIdentity(view string, keys []string) (rest, rows []string) {
	for _, key := range keys {
		if row, is := strings.CutPrefix(key, view); is {
			rows = append(rows, row)
		} else {
			rest = append(rest, key)
		}
	}
	return rest, rows
}

func (s *Server) refreshIdentity(ctx context.Context, rows []string) error {
	soon, cancel := context.WithTimeout(ctx, follow.HoldWait)
	defer cancel()
	release, err := s.live.Hold(soon)
	if err != nil {
		return err
	}
	defer release()
	if err := s.identity.Refresh(ctx, rows); err != nil {
		return err
	}
	return ctx.Err() // one that has ended may have cut it
}

// Receive implements role.Serving.
func (s *Server) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	ctx, leave, ok := s.Requests.Enter(ctx)
	if !ok {
		return nil, replication.Errorf(replication.Unavailable, "its role is changing")
	}
	defer leave()
	payload, err := s.server.Serve(ctx, req.SecondaryID, req.Payload)
	if err != nil {
		return nil, err
	}
	return &replication.ReceiveResponse{Payload: payload}, nil
}

// Lacks implements role.Serving.
func (s *Server) Lacks() []string { return s.follower.Lacks() }

// Do implements [routing.Forwarder].
func (s *Server) Do(ctx context.Context, req *wire.Request) (*wire.Answer, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.toPrimary().Do(ctx, req)
}

// Listens learns of a listener how long its requests may take.
func (s *Server) Listens(l *configutil.Listener) {
	if l == nil || l.Type == "" {
		return // the cluster port: its requests came in at a listener of another node
	}
	limit := int64(l.MaxRequestDuration)
	if limit == 0 {
		limit = int64(vault.DefaultMaxRequestDuration)
	}
	for {
		old := s.limit.Load()
		if limit <= old || s.limit.CompareAndSwap(old, limit) {
			return
		}
	}
}

// bounded gives a context its request's deadline back, so that the primary learns of it:
// the core cancels the contexts of its backends instead. What the core does by itself may
// take as long as a client's request.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	from, ok := s.Core.RequestStarted(ctx)
	if !ok {
		from = time.Now()
	}
	limit := time.Duration(s.limit.Load())
	if limit == 0 {
		limit = vault.DefaultMaxRequestDuration
	}
	return context.WithDeadline(ctx, from.Add(limit))
}

// Call implements [entity.Caller].
func (s *Server) Call(ctx context.Context, kind string, body []byte) ([]byte, replication.Position, error) {
	return s.toPrimary().Call(ctx, forward.Kind(kind), body)
}

// Wait implements [entity.Waiter].
func (s *Server) Wait(ctx context.Context, at replication.Position) error {
	return s.Set.WaitApplied(ctx, at)
}

// toPrimary is the client of the present relation. It keeps a session with the
// primary's host, which is of no use for another one.
func (s *Server) toPrimary() *forward.Client {
	set, id, key := s.Set.Relation()
	r := relation{set, id, string(key)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil || s.relation != r {
		s.relation = r
		s.client = forward.NewClient(forward.ClientOptions{
			Carry: s.Set.Forward, Key: key, SetID: set, SecondaryID: id,
			Wrote: s.Set.Forwarded, Wait: s.Set.WaitApplied, BestEffortWait: s.BestEffortWait,
		})
	}
	return s.client
}

func (s *Server) afterAuth(ctx context.Context, m vaultname.Mount, req *logical.Request, resp *logical.Response) error {
	return s.entities.AfterAuth(ctx, m, req, resp)
}
