// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Controller is replication on this node. It follows the core: when the core is unsealed,
// becomes active, or seals, the controller begins or ends its parts. The parts do the work.
type Controller struct {
	*changes

	onInactive func()
	// steppedDown says that the last active duty ended without a seal: another
	// node may lead since.
	steppedDown atomic.Bool
	steps       steps
	standby     standby
	// looks share what the status of each mode costs.
	looks map[replication.Mode]*looks
}

// Plugins gives the plugin of each mode.
type Plugins interface {
	// Backend is the plugin of a mode, its process started when it was not. Calls
	// are Unavailable while the process is down.
	Backend(ctx context.Context, mode replication.Mode) (replication.Backend, error)
	// Running is the plugin of a mode if it was started, nil otherwise.
	Running(mode replication.Mode) replication.Backend
	// Trouble is one sentence on why the plugin of a mode is down, empty while it
	// is up.
	Trouble(mode replication.Mode) string
}

// Requests are those of clients. Hold keeps new ones out of the core, for a change that
// needs it to itself; empty ends those under way, and open lets them in again.
type Requests interface {
	Hold() (empty, open func())
}

// Options are what a controller works with.
type Options struct {
	Core *vaultcore.Core
	Tap  *storage.Tap
	// Store is the storage below the tap: writes to it pass no guard.
	Store  physical.Backend
	Port   *cluster.Port
	Logger hclog.Logger
	// OnInactive runs when the active duty ends.
	OnInactive func()

	// Plugins, Requests and Serving make what needs the controller in turn. New calls each
	// once, in this order, before the controller is asked for anything.
	Plugins  func(*Controller) (Plugins, error)
	Requests func(*Controller) Requests
	Serving  func(*Controller) Serving
}

// New makes the controller of a core, which is sealed still, and observes the core and the
// storage.
func New(o Options) (*Controller, error) {
	core := o.Core
	c := &Controller{
		changes: &changes{
			roles: &roles{record: disabledRecord()},
			core:  core, tap: o.Tap, port: o.Port, store: o.Store, logger: o.Logger, paired: pairing.New(core, modePrefix),
		},
		onInactive: o.OnInactive,
		looks:      map[replication.Mode]*looks{},
	}
	for _, m := range modes {
		c.looks[m] = newLooks()
	}
	c.addRooms()
	c.steps.attach(core, o.Store)
	var err error
	if c.plugins, err = o.Plugins(c); err != nil {
		return nil, err
	}
	c.requests = o.Requests(c)
	c.serving = o.Serving(c)
	core.OnBarrierOpen(c.barrierOpened)
	core.OnBarrierSeal(c.barrierSealing)
	core.OnActive(c.becameActive)
	core.OnInactive(c.becameInactive)
	core.OnKeyCheck(c.standby.checkKeys)
	o.Tap.Observe(observer{c})
	return c, nil
}

// addRooms makes what looks after one matter each.
func (c *Controller) addRooms() {
	c.sessions = &sessions{roles: c.roles, port: c.port, paired: c.paired, logger: c.logger}
	c.relations = &relations{tap: c.tap, paired: c.paired, roles: c.roles, logger: c.logger}
	c.rows = &rows{core: c.core, tap: c.tap, store: c.store, paired: c.paired}
	known := mounts.New(c.core, c.tap, c.follows, c.logger)
	paths := filters.New(ofClients, c.core, c.tap, known, c.sessions)
	c.term = &term{
		roles: c.roles, core: c.core, tap: c.tap, store: c.store, rows: c.rows, steps: &c.steps,
		mounts: known, filters: paths, hiding: filters.NewHiding(paths, c.copyAgain, c.logger), logger: c.logger,
	}
	c.standby = standby{core: c.core, logger: c.logger, follow: c.followRole}
	c.ring = keys.NewRing(c.core, c.tap, c.store, c.Role, c.logger)
	c.shares = keys.NewShares(c.core, c.store, c.speaks, c.logger)
}

// Mounts are what is known of the mounts.
func (c *Controller) Mounts() *mounts.Learner { return c.mounts }

// Filters are the paths filters of this primary's secondaries.
func (c *Controller) Filters() *filters.Filters { return c.filters }

// Hiding is what this cluster hides from its core.
func (c *Controller) Hiding() *filters.Hiding { return c.hiding }

// barrierOpened runs between the opening of the barrier and everything else.
func (c *Controller) barrierOpened(ctx context.Context) error {
	c.steps.opened()
	if err := c.takeUpRole(ctx, !c.core.HasHA()); err != nil {
		c.logger.Error("the node stays sealed", "error", err)
		return err
	}
	if c.core.HasHA() {
		// The journal begins with the leadership, not before.
		c.standby.begin()
		return nil
	}
	return c.beginTerm(ctx)
}

// LeadershipBegins runs when a node of an HA cluster has won the leadership and
// announces itself, before it builds anything. The role may have changed since
// the barrier was opened.
func (c observer) LeadershipBegins(ctx context.Context) error {
	// What is left of an earlier leadership of this node is older than what the
	// leaders in between have written.
	if err := c.tap.Abandon(ctx); err != nil {
		return err
	}
	if err := c.takeUpRole(ctx, true); err != nil {
		return err
	}
	if err := c.beginTerm(ctx); err != nil {
		return err
	}
	if !c.isPrimary() {
		return nil
	}
	return c.ring.Journal(ctx)
}

// AppliedAlone says whether a key is applied in a transaction of its own, and taken
// up before what follows it: tables of mounts, keys, the filter.
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
	c.endStartup(ctx)
	c.tap.OnDuty(ctx)
	c.beginDuty(ctx)
	go c.shares.Watch(ctx)
	go c.deleteFormerRows(ctx)
	for _, m := range modes {
		if c.Role(m) != replication.Disabled || c.plugins.Running(m) != nil {
			go c.startPlugin(ctx, m)
		}
		if c.Role(m) == replication.Secondary {
			go c.watchKeys(ctx, m)
		}
	}
}

// becameInactive ends all sessions of the active duty.
func (c *Controller) becameInactive() {
	// A seal marks the core first, and the node leads until it is done.
	c.steppedDown.Store(!c.core.Sealed())
	c.endDuty()
	for _, m := range modes {
		c.stopPlugin(m)
	}
	c.relations.forgetAll()
	c.onInactive()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := c.endWrites(ctx)
	switch {
	case !c.core.Sealed():
		// A snapshot may be restored now, and nothing of before may be written over it.
		c.tap.Rest(ctx)
	case !c.isPrimary():
		c.tap.Indexes().Store(ctx)
	case err == nil:
		err = c.tap.Deactivate(ctx)
	}
	if err != nil {
		c.logger.Warn("the journal could not be closed cleanly; its end is found again at the next unseal", "error", err)
	}
}

// Close ends what goes on beside the core.
func (c *Controller) Close() { c.steps.close(c.store) }

var _ endpoints.Controller = (*Controller)(nil)
