// SPDX-License-Identifier: MPL-2.0

// Package serving serves the clients of a node in a performance set. On a secondary it forwards requests that the
// secondary may not carry out, and has the running core follow the primary. On a primary it carries out forwarded
// requests.
package serving

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vault-replication/vault-replication/host/internal/entity"
	"github.com/vault-replication/vault-replication/host/internal/follow"
	"github.com/vault-replication/vault-replication/host/internal/forward"
	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/identity"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/live"
	"github.com/vault-replication/vault-replication/host/storage"
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

	// Relation is the ids of the set and of this secondary, and the key that it shares with its primary's host.
	Relation() (setID, secondaryID string, key []byte)
	// Forward carries sealed bytes to the host of the primary.
	Forward(ctx context.Context, payload []byte) ([]byte, error)
	// Forwarded notes a position that an answer of the primary has named.
	Forwarded(at replication.Position)
	// WaitApplied waits until a position of the primary was applied here and taken up by
	// the core.
	WaitApplied(ctx context.Context, at replication.Position) error

	// ID is the id of the set.
	ID() string
	// KeyOf is the key that this primary shares with a secondary.
	KeyOf(ctx context.Context, id string) ([]byte, error)
	// LastWritten is the position of this primary, with every write that was answered.
	LastWritten() (replication.Position, error)
}

// Requests are the requests that this node carries out; rolechange.Gate keeps them.
type Requests interface {
	// Enter admits a request. The context ends when the role changes. ok is false during a change.
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
	Metrics        Timer
	Logger         hclog.Logger
}

// Server serves the clients of one node.
type Server struct {
	Options

	live     *live.Live
	follower *follow.Follower
	identity *identity.Store
	entities *entity.Secondary
	server   *forward.Server
	// plan makes the wrappers of a secondary.
	plan routing.Options
	// limit is how long a client's request may take: the longest limit of all listeners.
	limit   atomic.Int64
	headers clientHeaders

	mu sync.Mutex
	// client belongs to the relation to one primary.
	client   *forward.Client
	relation relation
}

type relation struct{ set, id, key string }

// New makes the server and attaches it to the core, which is still sealed.
func New(o Options) *Server {
	s, core, logger := &Server{Options: o}, o.Core, o.Logger
	s.identity = identity.New(core.Core, &routing.Readers{})
	s.entities = entity.NewSecondary(s.identity, s, s, logger.Named("identity"))
	s.plan = routing.Options{Forwarder: s, Refusals: o.Tap.Refusals(), AfterAuth: s.afterAuth, Replaced: s.wrap}
	hidden := func(table string, e mounttable.Entry) bool {
		return o.Hiding.Hides(vaultname.RequestPath(table, e.Path), e.UUID)
	}
	s.live = core.Live(s.wrapEntry, o.Hiding.ClearView)
	s.follower = follow.New(s.live, logger.Named("follow"), follow.Options{Hidden: hidden, Away: routing.SaysAway})
	s.server = forward.NewServer(forward.ServerOptions{
		KeyOf: o.Set.KeyOf, SetID: o.Set.ID, Position: o.Set.LastWritten, Logger: logger.Named("forward"),
	})
	receiver := &routing.Receiver{Core: core, Allowed: o.Filters.Sends, Logger: logger.Named("forward")}
	s.server.HandleRequests(s.measuredRequests(receiver.Handle))
	identities := entity.NewServer(entity.ServerOptions{
		Store: s.identity, Audit: core, Allowed: o.Filters.Sends, Logger: logger.Named("identity"),
	})
	for kind, handle := range identities.Handlers() {
		s.server.Handle(forward.Kind(kind), s.measured(forward.Kind(kind), forward.Handler(handle)))
	}
	core.HideMounts(hidden)
	core.TolerateAuditFailures(s.follower.AuditDevice)
	core.OnBackendsReady(s.ready)
	for kind, name := range map[string]string{"identity": vaultname.Identity, "token": vaultname.Token} {
		core.OnCoreBackend(kind, func(b *framework.Backend) error { return s.Decorate(b, name) })
	}
	return s
}
