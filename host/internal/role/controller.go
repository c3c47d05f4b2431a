// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/api/gate"
	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Controller is replication on this node. It follows the core: when the core is unsealed,
// becomes active, or seals, the controller begins or ends its parts. The parts do the work.
type Controller struct {
	*statuses

	core *vaultcore.Core
	tap  *storage.Tap
	// store is the storage below the tap: no guard sees writes to it.
	store     physical.Backend
	paired    *pairing.Book
	roles     *roles
	sessions  *sessions
	relations *relations.Relations
	term      *term
	ring      *keys.Ring
	shares    *keys.Shares
	changes   *changes
	taker     *keyTaker
	copies    *copies
	primary   *Primary
	secondary *Secondary
	storage   *observer
	logger    hclog.Logger

	onInactive func()
	// steppedDown says that the last active duty ended without a seal, so another node may lead by now.
	steppedDown atomic.Bool
	steps       steps
	standby     standby
}

// Options are what a controller works with.
type Options struct {
	Core *vaultcore.Core
	Tap  *storage.Tap
	// Store is the storage below the tap: no guard sees writes to it.
	Store physical.Backend
	Port  *cluster.Port
	// OnlyGiven goes to the plugins, see [replication.StartRequest].
	OnlyGiven bool
	Logger    hclog.Logger
	// OnInactive runs when the active duty ends.
	OnInactive func()

	// Plugins, Requests and Serving make the parts that need the controller themselves. New calls each once, in this
	// order, before anybody uses the controller.
	Plugins  func(*Controller) (Plugins, error)
	Requests func(*Controller) Requests
	Serving  func(*Controller) Serving
}

// New makes the controller of a core that is still sealed, and observes the core and the storage.
func New(o Options) (*Controller, error) {
	core := o.Core
	c := &Controller{
		core: core, tap: o.Tap, store: o.Store, paired: pairing.New(core, records.OfMode),
		roles: &roles{record: disabledRecord()}, onInactive: o.OnInactive, logger: o.Logger,
	}
	c.addParts(o.Port)
	c.sessions.onlyGiven = o.OnlyGiven
	c.steps.attach(core, o.Store)
	plugins, err := o.Plugins(c)
	if err != nil {
		return nil, err
	}
	c.sessions.plugins = plugins
	requests := o.Requests(c)
	c.changes.requests, c.taker.requests, c.copies.requests = requests, requests, requests
	serving := o.Serving(c)
	c.statuses.serving, c.storage.serving, c.secondary.losses.serving = serving, serving, serving
	core.OnBarrierOpen(c.barrierOpened)
	core.OnBarrierSeal(c.barrierSealing)
	core.OnActive(c.becameActive)
	core.OnInactive(c.becameInactive)
	core.OnKeyCheck(c.standby.checkKeys)
	o.Tap.Observe(c.storage)
	return c, nil
}

// addParts makes the parts of the controller.
func (c *Controller) addParts(port *cluster.Port) {
	core, tap, logger := c.core, c.tap, c.logger
	c.sessions = &sessions{roles: c.roles, port: port, paired: c.paired, logger: logger}
	c.relations = relations.New(tap, c.paired, c.roles.own, logger)
	rows := &rows{core: core, tap: tap, store: c.store, paired: c.paired}
	known := mounts.New(core, tap, c.roles.follows, logger)
	paths := filters.New(ofClients, core, tap, known, c.sessions)
	c.term = &term{
		roles: c.roles, core: core, tap: tap, store: c.store, rows: rows, steps: &c.steps,
		mounts: known, filters: paths, hiding: filters.NewHiding(paths, c.sessions.copyAgain, logger), logger: logger,
	}
	c.standby = standby{core: core, logger: logger, follow: c.term.followRole}
	c.ring = keys.NewRing(core, tap, c.store, c.roles.Role, logger)
	c.shares = keys.NewShares(core, c.store, c.roles.speaks, logger)
	own := &ownWrites{core: core, tap: tap, store: c.store, mounts: known.Known(), roles: c.roles, logger: logger}
	c.changes = &changes{
		own:  own,
		core: core, tap: tap, roles: c.roles, sessions: c.sessions, relations: c.relations, rows: rows, term: c.term,
		ring: c.ring, logger: logger,
	}
	c.taker = &keyTaker{
		changes: c.changes, core: core, store: c.store, roles: c.roles, sessions: c.sessions, rows: rows, ring: c.ring,
		shares: c.shares, logger: logger,
	}
	c.copies = &copies{
		changes: c.changes, core: core, tap: tap, roles: c.roles, sessions: c.sessions, hiding: c.term.hiding, logger: logger,
	}
	c.primary = &Primary{
		changes: c.changes, tap: tap, port: port, paired: c.paired, roles: c.roles, sessions: c.sessions,
		relations: c.relations, logger: logger,
	}
	missing := losses{core: core, tap: tap, roles: c.roles, hiding: c.term.hiding}
	c.secondary = &Secondary{
		changes: c.changes, core: core, tap: tap, store: c.store, roles: c.roles, sessions: c.sessions, rows: rows,
		own: own, losses: missing, logger: logger,
	}
	c.statuses = &statuses{
		tap: tap, roles: c.roles, sessions: c.sessions, relations: c.relations, ring: c.ring, shares: c.shares,
		missing: missing.missing, looks: map[replication.Mode]*looks{},
	}
	for _, m := range modes {
		c.statuses.looks[m] = newLooks()
	}
	c.storage = &observer{
		changes: c.changes, core: core, tap: tap, roles: c.roles, sessions: c.sessions, term: c.term, ring: c.ring,
		shares: c.shares, logger: logger,
	}
}

// Rooms are parts that others work with too.
type Rooms struct {
	Mounts    *mounts.Learner
	Filters   *filters.Filters
	Hiding    *filters.Hiding
	Paired    *pairing.Book
	Relations *relations.Relations
	Ring      *keys.Ring
}

// Rooms returns them.
func (c *Controller) Rooms() Rooms {
	return Rooms{
		Mounts: c.term.mounts, Filters: c.term.filters, Hiding: c.term.hiding, Paired: c.paired, Relations: c.relations,
		Ring: c.ring,
	}
}

// Primary is what can be asked of this cluster as a primary.
func (c *Controller) Primary() *Primary { return c.primary }

// Secondary is what can be asked of this cluster as a secondary.
func (c *Controller) Secondary() *Secondary { return c.secondary }

// Kept has the values that this cluster keeps as a former primary.
func (c *Controller) Kept() endpoints.Kept {
	return keptWrites{c.secondary.own.book(), c.secondary.own}
}

// ForPlugins is this controller as the services of plugins see it.
func (c *Controller) ForPlugins() ForPlugins {
	return ForPlugins{c.roles, c.sessions, c.changes, c.copies, c.storage}
}

// Set is the performance set that this cluster is in.
func (c *Controller) Set() Set { return Set{c.roles, c.sessions, c.tap, c.ring, c.paired} }

// Consistency is this node's state in the set. wait bounds how long a request waits for a state that is not here yet.
func (c *Controller) Consistency(wait time.Duration) Consistency {
	return Consistency{c.Set(), c.core, wait}
}

// barrierOpened runs between the opening of the barrier and everything else.
func (c *Controller) barrierOpened(ctx context.Context) error {
	c.steps.opened()
	if err := c.term.takeUpRole(ctx, !c.core.HasHA()); err != nil {
		c.logger.Error("the node stays sealed", "error", err)
		return err
	}
	if c.core.HasHA() {
		// The journal begins with the leadership, not before.
		c.standby.begin()
		return nil
	}
	return c.term.beginTerm(ctx)
}

// AppliedAlone says whether a key is applied in a transaction of its own, and taken up before later rows: tables of
// mounts, keys, the filter.
func AppliedAlone(key string) bool {
	return keyclass.Tables[key] != "" || key == vaultname.Keyring || key == vaultname.RootKey ||
		strings.HasPrefix(key, vaultname.ReplicationFilters)
}

// barrierSealing runs while the barrier is still open.
func (c *Controller) barrierSealing() {
	c.standby.end()
	c.steps.sealing()
	end := c.tap.Close
	if c.steppedDown.Load() {
		end = c.tap.Abandon
	}
	if err := end(context.Background()); err != nil {
		c.logger.Warn("the fingerprints could not be ended cleanly", "error", err)
	}
}

// becameActive starts the plugins of the modes in use. It must not block.
func (c *Controller) becameActive(ctx context.Context) {
	c.steppedDown.Store(false)
	c.term.endStartup(ctx)
	c.tap.OnDuty(ctx)
	c.roles.beginDuty(ctx)
	c.storage.settleDoubt()
	go c.shares.Watch(ctx)
	go c.term.deleteFormerRows(ctx)
	for _, m := range modes {
		if c.roles.Role(m) != replication.Disabled || c.sessions.plugins.Running(m) != nil {
			go c.sessions.startPlugin(ctx, m)
		}
		if c.roles.Role(m) == replication.Secondary {
			go c.taker.watchKeys(ctx, m)
		}
	}
}

// becameInactive ends all sessions of the active duty.
func (c *Controller) becameInactive() {
	// A seal marks the core first, and the node leads until the seal has ended.
	c.steppedDown.Store(!c.core.Sealed())
	c.roles.endDuty()
	for _, m := range modes {
		c.sessions.stopPlugin(m)
	}
	c.relations.ForgetAll()
	c.onInactive()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := c.term.endWrites(ctx)
	switch {
	case !c.core.Sealed():
		// A snapshot may be restored now, and no former content may be written over it.
		c.tap.Rest(ctx)
	case !c.roles.isPrimary():
		c.tap.Indexes().Store(ctx)
	case err == nil:
		err = c.tap.Deactivate(ctx)
	}
	if err != nil {
		c.logger.Warn("the journal could not be closed cleanly; its end is found again at the next unseal", "error", err)
	}
}

// Close ends the background work.
func (c *Controller) Close() { c.steps.close(c.store) }

// State implements [gate.Node]. It is asked for each request and takes no lock
// that a request holds.
func (c *Controller) State() gate.State {
	_, err := c.roles.active()
	return gate.State{
		Sealed:        c.core.Sealed(),
		DRSecondary:   c.roles.servesNothing(),
		Bootstrapping: c.roles.bootstrapping.Load(),
		Active:        err == nil,
	}
}

var _ endpoints.Controller = (*Controller)(nil)

// Role implements [endpoints.Controller].
func (c *Controller) Role(mode replication.Mode) replication.Role { return c.roles.Role(mode) }

// Inert implements [endpoints.Controller].
func (c *Controller) Inert() bool { return c.roles.Inert() }

// Recover implements [endpoints.Controller].
func (c *Controller) Recover(ctx context.Context, mode replication.Mode) ([]string, error) {
	return nil, c.sessions.renew(ctx, mode)
}

// Reindex implements [endpoints.Controller].
func (c *Controller) Reindex(_ context.Context, mode replication.Mode, forget bool) error {
	return c.tap.Indexes().Reindex(mode, forget)
}

// CheckIndex implements [endpoints.Controller].
func (c *Controller) CheckIndex(ctx context.Context, mode replication.Mode) (*endpoints.IndexReport, error) {
	r, err := c.tap.Indexes().Check(ctx, mode)
	return (*endpoints.IndexReport)(r), err
}
