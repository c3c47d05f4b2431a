// SPDX-License-Identifier: MPL-2.0

package node

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

	"github.com/vault-replication/vault-replication/host/api/rolechange"
	"github.com/vault-replication/vault-replication/host/entity"
	"github.com/vault-replication/vault-replication/host/follow"
	"github.com/vault-replication/vault-replication/host/forward"
	"github.com/vault-replication/vault-replication/host/forward/wire"
	"github.com/vault-replication/vault-replication/host/mounttable"
	"github.com/vault-replication/vault-replication/host/role"
	"github.com/vault-replication/vault-replication/host/routing"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/vaultcore"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// serving is what a node of a performance set does for its clients: on a secondary
// it forwards what is not the secondary's to write and makes the running core
// follow the primary; on a primary it carries out what is forwarded.
type serving struct {
	core       *vaultcore.Core
	controller *role.Controller
	tap        *storage.Tap
	requests   *rolechange.Gate
	wait       time.Duration
	logger     hclog.Logger

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

var _ role.Serving = (*serving)(nil)

func newServing(core *vaultcore.Core, c *role.Controller, tap *storage.Tap, requests *rolechange.Gate, wait time.Duration, logger hclog.Logger) *serving {
	s := &serving{core: core, controller: c, tap: tap, requests: requests, wait: wait, logger: logger}
	s.identity = vaultcore.NewIdentity(core, &routing.Readers{})
	s.entities = entity.NewSecondary(s.identity, s, s, logger.Named("identity"))
	s.plan = routing.Options{Forwarder: s, Refusals: tap.Refusals(), AfterAuth: s.afterAuth, Replaced: s.wrap}
	hidden := func(table string, e mounttable.Entry) bool {
		return c.Hiding().Hides(vaultname.RequestPath(table, e.Path), e.UUID)
	}
	s.live = core.Live(s.wrapEntry, c.Hiding().ClearView)
	s.follower = follow.New(s.live, logger.Named("follow"), follow.Options{Hidden: hidden})
	s.server = forward.NewServer(forward.ServerOptions{
		KeyOf: c.PairingKey, SetID: c.SetID, Position: c.Position, Logger: logger.Named("forward"),
	})
	receiver := &routing.Receiver{Core: core, Allowed: c.Filters().Sends, Logger: logger.Named("forward")}
	s.server.HandleRequests(receiver.Handle)
	identities := entity.NewServer(entity.ServerOptions{
		Store: s.identity, Audit: core, Allowed: c.Filters().Sends, Logger: logger.Named("identity"),
	})
	for kind, handle := range identities.Handlers() {
		s.server.Handle(forward.Kind(kind), forward.Handler(handle))
	}
	core.HideMounts(hidden)
	core.TolerateAuditFailures(s.follower.AuditDevice)
	core.OnBackendsReady(s.ready)
	for kind, name := range map[string]string{"identity": vaultname.Identity, "token": vaultname.Token} {
		core.OnCoreBackend(kind, func(b *framework.Backend) error { return s.decorate(b, name) })
	}
	return s
}

// decorate makes one of the core's own backends forward what is the primary's. It
// runs each time that backend is made, in the role that the cluster has then.
func (s *serving) decorate(b *framework.Backend, kind string) error {
	if kind == vaultname.Token {
		err := entity.DecorateTokenCreate(b, func() entity.Ensurer {
			if s.controller.Serves() {
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
	if !s.controller.Serves() {
		return nil
	}
	if kind == vaultname.Identity {
		s.identity.WatchReaders(b)
	}
	unnamed, err := routing.DecorateForward(b, kind, s, s)
	if len(unnamed) > 0 {
		s.logger.Debug("these paths are served by this secondary alone", "backend", kind, "paths", unnamed)
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
func (s *serving) LocalAlias(id, accessor string) bool { return s.identity.LocalAlias(id, accessor) }

// LocalMount implements [routing.Locals].
func (s *serving) LocalMount(path string) bool {
	m, ok := s.core.MountAt(path)
	return ok && m.Local
}

// learn takes up what the backends of all mounts declare as local: at unseal, and
// after a request that may have mounted or replaced one.
func (s *serving) learn() {
	if s.controller.Inert() {
		return // inert backends declare nothing
	}
	for _, m := range s.core.Mounts() {
		b := s.core.BackendOf(m.Path)
		if b == nil {
			continue
		}
		if err := s.controller.Mounts().LearnBackend(context.Background(), m, b); err != nil {
			s.logger.Error("the local storage of a mount could not be learned; its keys are held back from performance secondaries", "mount", m.Path, "error", err)
		}
	}
}

// ready runs at the end of each unseal, before any request is served.
func (s *serving) ready(ctx context.Context) {
	s.learn()
	if !s.controller.Serves() {
		return
	}
	s.wrap()
	if err := s.identity.ForwardWrites(s.entities); err != nil {
		s.logger.Error("groups and entities that a request of this secondary needs cannot be made on the primary", "error", err)
	}
	s.follower.Start(ctx)
	if err := s.controller.Hiding().ClearHidden(ctx); err != nil {
		s.logger.Warn("what this secondary has of mounts that its paths filter hides is deleted when it is unsealed next", "error", err)
	}
	// In the middle of a copy an entity that is not there may be on its way.
	if s.controller.Consistent(ctx) {
		if err := s.identity.SweepLocalAliases(ctx); err != nil {
			s.logger.Warn("aliases of local auth mounts whose entity is gone stay until the next unseal", "error", err)
		}
	}
}

// wrap puts wrappers in front of all backends that have none.
func (s *serving) wrap() {
	if !s.controller.Serves() {
		return
	}
	// Local mounts too: their requests stay here, but a login on one may need an
	// entity that the primary makes.
	err := s.core.WrapBackends(s.plan.Wrap)
	if err != nil {
		s.logger.Error("writes to some mounts are refused and not forwarded to the primary", "error", err)
	}
}

// wrapEntry does that for a mount that has come from the primary.
func (s *serving) wrapEntry(e *vault.MountEntry, b logical.Backend) logical.Backend {
	m := vaultcore.MountOf(e)
	if err := s.controller.Mounts().LearnBackend(context.Background(), m, b); err != nil {
		s.logger.Error("the local storage of a mount could not be learned", "mount", m.Path, "error", err)
	}
	return s.plan.Wrap(m, b)
}

// Applied implements [role.Serving].
func (s *serving) Applied(ctx context.Context, keys []string) (left []string) {
	m, ok := s.core.MountAt("identity/")
	if !ok {
		return keys // the core is not built, or not any more
	}
	rest, rows := splitIdentity(m.StoragePrefix, keys)
	if len(rows) > 0 {
		if err := s.refreshIdentity(ctx, rows); err != nil {
			s.logger.Error("a change of identity was not taken up; it is tried again", "error", err)
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

func (s *serving) refreshIdentity(ctx context.Context, rows []string) error {
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

// Receive implements [role.Serving].
func (s *serving) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	ctx, leave, ok := s.requests.Enter(ctx)
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

// Lacks implements [role.Serving].
func (s *serving) Lacks() []string { return s.follower.Lacks() }

// Do implements [routing.Forwarder].
func (s *serving) Do(ctx context.Context, req *wire.Request) (*wire.Answer, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.toPrimary().Do(ctx, req)
}

// listens learns of a listener how long its requests may take.
func (s *serving) listens(l *configutil.Listener) {
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
func (s *serving) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	from, ok := s.core.RequestStarted(ctx)
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
func (s *serving) Call(ctx context.Context, kind string, body []byte) ([]byte, replication.Position, error) {
	return s.toPrimary().Call(ctx, forward.Kind(kind), body)
}

// Wait implements [entity.Waiter].
func (s *serving) Wait(ctx context.Context, at replication.Position) error {
	return s.controller.WaitApplied(ctx, at)
}

// toPrimary is the client of the present relation. It keeps a session with the
// primary's host, which is of no use for another one.
func (s *serving) toPrimary() *forward.Client {
	set, id, key := s.controller.Relation()
	r := relation{set, id, string(key)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil || s.relation != r {
		s.relation = r
		s.client = forward.NewClient(forward.ClientOptions{
			Carry: s.controller.Forward, Key: key, SetID: set, SecondaryID: id,
			Wrote: s.controller.Forwarded, Wait: s.controller.WaitApplied, BestEffortWait: s.wait,
		})
	}
	return s.client
}

func (s *serving) afterAuth(ctx context.Context, m vaultname.Mount, req *logical.Request, resp *logical.Response) error {
	return s.entities.AfterAuth(ctx, m, req, resp)
}
