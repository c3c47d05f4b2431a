// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/api/endpoints"
	"github.com/vault-replication/vault-replication/host/cluster"
	"github.com/vault-replication/vault-replication/host/pairing"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultcore"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Modes that a cluster can have a role in.
var modes = []replication.Mode{replication.DR, replication.Performance}

// Controller keeps the roles of the cluster on this node and changes them.
type Controller struct {
	core   *vaultcore.Core
	tap    *storage.Tap
	port   *cluster.Port
	paired *pairing.Book
	logger hclog.Logger
	// store is the storage below the tap: writes to it pass no guard.
	store physical.Backend

	onInactive []func()
	// steppedDown says that the last active duty ended without a seal: another
	// node may lead since.
	steppedDown atomic.Bool

	// applies is held for reading by each apply, and for writing while a role
	// changes.
	applies sync.RWMutex

	// changing is held for the whole of a change of role.
	changing sync.Mutex
	requests Requests

	// mounts is what is known of the mounts, for the classes of their keys.
	mounts *keyclass.Mounts
	// learnedViews are those whose classes a batch changes that is being applied.
	learned      sync.Mutex
	learnedViews []string

	// filters serialises changes of paths filters; hiding is what this cluster, a
	// performance secondary, hides from its core.
	filters sync.Mutex
	hiding  atomic.Pointer[hiding]

	// forwarded is the highest sequence that an answer of the performance primary has
	// named.
	forwarded atomic.Uint64

	taints taints
	steps  steps
	shares *keyShares

	relations relations
	// looks share what the status of each mode costs.
	looks map[replication.Mode]*looks

	// bootstrapping says that this cluster is a performance secondary whose first
	// copy has not ended: it serves nothing.
	bootstrapping atomic.Bool

	mu      sync.RWMutex
	plugins Plugins
	record  *Record
	serving Serving
	// duty is the context of the active duty, nil while there is none.
	duty context.Context
	// endWatch ends the looking of a standby, nil while there is none.
	endWatch context.CancelFunc
	// failure says what went wrong in the last change that was carried out in the
	// background, for the status.
	failure map[replication.Mode]string
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

// SetRequests gives them, once, before the first unseal.
func (c *Controller) SetRequests(r Requests) { c.requests = r }

// observer is the controller as the storage knows it.
type observer struct{ *Controller }

// New makes the controller of a core and observes the core and the storage. Store is the storage
// below the tap.
func New(core *vaultcore.Core, tap *storage.Tap, store physical.Backend, port *cluster.Port, logger hclog.Logger) *Controller {
	c := &Controller{
		core: core, tap: tap, port: port, store: store, logger: logger,
		paired:  pairing.New(core, modePrefix),
		mounts:  keyclass.NewMounts(),
		record:  disabledRecord(),
		failure: map[replication.Mode]string{},
		looks:   map[replication.Mode]*looks{replication.DR: newLooks(), replication.Performance: newLooks()},
	}
	c.steps.attach(core, store)
	c.shares = newKeyShares(c)
	core.OnBarrierOpen(c.barrierOpened)
	core.OnBarrierSeal(c.barrierSealing)
	core.OnActive(c.becameActive)
	core.OnInactive(c.becameInactive)
	core.OnKeyCheck(c.checkKeys)
	tap.Observe(observer{c})
	tap.Classes().SetMounts(c.mounts)
	return c
}

// SetPlugins gives the plugins, once, before the first unseal.
func (c *Controller) SetPlugins(p Plugins) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plugins = p
}

// Record is a copy of the present roles.
func (c *Controller) Record() *Record {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.record.clone()
}

// Role is the present role in a mode.
func (c *Controller) Role(mode replication.Mode) replication.Role {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.record.mode(mode).Role
}

// IsDRSecondary says whether the node serves nothing but its own endpoints.
func (c *Controller) IsDRSecondary() bool { return c.Role(replication.DR) == replication.Secondary }

// barrierOpened runs between the opening of the barrier and everything else.
func (c *Controller) barrierOpened(ctx context.Context) error {
	c.steps.opened()
	if err := c.takeUpRole(ctx, !c.core.HasHA()); err != nil {
		c.logger.Error("the node stays sealed", "error", err)
		return err
	}
	if c.core.HasHA() {
		// The journal begins with the leadership, not before.
		c.watchAsStandby()
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
	return c.journalKeys(ctx)
}

// takeUpRole reads the role record and puts it in force. Only a node that leads may
// write.
func (c *Controller) takeUpRole(ctx context.Context, leads bool) error {
	if leads {
		if err := c.steps.settle(ctx, c.store, c.logger); err != nil {
			return err
		}
	}
	r, err := loadRecord(ctx, c.core)
	if err != nil {
		return err
	}
	if leads {
		if err := markHadRole(ctx, c.core); err != nil {
			return err
		}
	}
	if err := c.loadMounts(ctx); err != nil {
		return err
	}
	bootstrapping := false
	if r.Performance.Role == replication.Secondary {
		if leads {
			if err := c.wipeFormer(ctx); err != nil {
				return err
			}
		}
		if bootstrapping, err = c.firstCopy(ctx); err != nil {
			return err
		}
		if err := c.loadHiding(ctx, r.Performance.SecondaryID); err != nil {
			return err
		}
	} else {
		c.hiding.Store(nil)
	}
	c.bootstrapping.Store(bootstrapping)
	c.forwarded.Store(0)
	if err := c.enforce(ctx, r, true); err != nil {
		return err
	}
	return c.core.SetInertBackends(ctx, bootstrapping || r.DR.Role == replication.Secondary)
}

// enforce makes the record the present one: Vault's word and the guard. A core that
// is about to start, alone, may believe that it has written the tables of mounts; one
// that runs is told what it may not write.
func (c *Controller) enforce(ctx context.Context, r *Record, starting bool) error {
	bootstrapping := c.bootstrapping.Load()
	if err := c.tap.SetGuard(ctx, guardOf(r, bootstrapping, starting)); err != nil {
		return err
	}
	c.mu.Lock()
	c.record = r
	c.mu.Unlock()
	c.core.SetReplicationState(r.word(bootstrapping))
	return nil
}

// guardOf is what the core may write in the roles of a record.
func guardOf(r *Record, bootstrapping, starting bool) storage.Guard {
	guard := storage.Guard{}
	for _, m := range modes {
		if r.mode(m).Role == replication.Secondary {
			guard.Level = storage.ReadOnly
			guard.Modes = append(guard.Modes, m)
		}
	}
	if bootstrapping {
		// What it has of its own is not read yet, and must not be made anew.
		guard.Modes = modes
	}
	if starting {
		guard.Absorb = startupTables(guard.Modes)
	}
	return guard
}

// startupTables are the keys whose writes vanish while the core of a secondary of
// these modes starts. A core brings the tables of an older version up to date, the
// shared and the local one at once; in storage that is for whoever may write them
// to do, and an error would leave the node sealed.
func startupTables(secondary []replication.Mode) []string {
	var tables []string
	for table := range keyclass.Tables {
		local := vaultname.IsLocalTable(table)
		if slices.Contains(secondary, replication.DR) || !local && len(secondary) > 0 {
			tables = append(tables, table)
		}
	}
	return tables
}

// endStartup ends the absorbing of what a core writes while it starts.
func (c *Controller) endStartup(ctx context.Context) {
	guard := c.tap.Guard()
	if len(guard.Absorb) == 0 {
		return
	}
	guard.Absorb = nil
	if err := c.tap.SetGuard(ctx, guard); err != nil {
		c.logger.Error("the guard of the storage could not be set", "error", err)
	}
}

// AppliedAlone says whether a key is applied in a transaction of its own, and taken
// up before what follows it: tables of mounts, keys, the filter.
func AppliedAlone(key string) bool {
	return keyclass.Tables[key] != "" || key == vaultname.Keyring || key == vaultname.RootKey || strings.HasPrefix(key, vaultname.ReplicationFilters)
}

// beginTerm starts the journal of a primary and the fingerprint of a secondary,
// and ends those that the roles do not have.
func (c *Controller) beginTerm(ctx context.Context) error {
	r := c.Record()
	if r.Performance.Role == replication.Primary {
		if err := c.loadFilters(ctx); err != nil {
			return err
		}
	}
	if err := c.activate(ctx, r); err != nil {
		return err
	}
	if c.tap.HistoryLost() {
		if err := c.newHistory(ctx); err != nil {
			return err
		}
		r = c.Record()
	}
	for _, m := range modes {
		switch mr := r.mode(m); mr.Role {
		case replication.Secondary:
			if err := c.tap.StartFingerprint(ctx, m, fingerprint.Key(mr.IndexKey)); err != nil {
				return fmt.Errorf("the fingerprint of replication cannot begin: %w", err)
			}
		case replication.Disabled:
			if err := c.tap.Forget(ctx, m); err != nil {
				return fmt.Errorf("what %s replication has left here cannot be removed: %w", m, err)
			}
		case replication.Primary, replication.Bootstrapping: // nothing of a secondary
		}
	}
	return c.settleHiding(ctx)
}

// activate begins the journal for the roles of a record, or ends it.
func (c *Controller) activate(ctx context.Context, r *Record) error {
	primary := map[replication.Mode]storage.ModeConfig{}
	for _, m := range modes {
		if mr := r.mode(m); mr.Role == replication.Primary {
			primary[m] = storage.ModeConfig{Epoch: mr.Epoch, IndexKey: fingerprint.Key(mr.IndexKey)}
		}
	}
	var err error
	if len(primary) > 0 {
		err = c.tap.Activate(ctx, storage.JournalConfig{Modes: primary})
	} else {
		err = c.tap.Deactivate(ctx)
	}
	if err != nil {
		return fmt.Errorf("the journal of replication cannot begin: %w", err)
	}
	return nil
}

// barrierSealing runs while the barrier is still open.
func (c *Controller) barrierSealing() {
	c.endStandbyWatch()
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
	c.mu.Lock()
	c.duty = ctx
	c.mu.Unlock()
	go c.shares.watch(ctx)
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
	c.mu.Lock()
	c.duty = nil
	c.mu.Unlock()
	for _, m := range modes {
		c.stopPlugin(m)
	}
	c.relations.forgetAll()
	for _, hook := range c.onInactive {
		hook()
	}
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

// endWrites lets no replicated write of a primary through any more: it would be missing in
// the journal, or be a row of a term that has ended, which nobody reads. What a core writes
// after its mounts are unloaded belongs to the node alone.
func (c *Controller) endWrites(ctx context.Context) error {
	if !c.isPrimary() {
		return nil
	}
	return c.tap.SetGuard(ctx, storage.Guard{Level: storage.ReadOnly, Modes: modes})
}

// isPrimary says whether this cluster is a primary in any mode.
func (c *Controller) isPrimary() bool {
	r := c.Record()
	return r.DR.Role == replication.Primary || r.Performance.Role == replication.Primary
}

// Close ends what goes on beside the core.
func (c *Controller) Close() { c.steps.close(c.store) }

// OnInactive adds a hook that runs when the active duty ends. It must be called
// before the first unseal.
func (c *Controller) OnInactive(hook func()) { c.onInactive = append(c.onInactive, hook) }

// active is the context of the active duty, or an error that says there is none.
func (c *Controller) active() (context.Context, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.duty == nil {
		return nil, replication.Errorf(replication.Unavailable, "this node is not active: try again on the active node")
	}
	return c.duty, nil
}

var _ endpoints.Controller = (*Controller)(nil)
