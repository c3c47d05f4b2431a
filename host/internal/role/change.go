// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Requests are the requests of clients. Hold keeps new ones out of the core, for a change that needs the core for
// itself. empty ends those under way, and open lets requests in again.
type Requests interface {
	Hold() (empty, open func())
}

// drainTimeout bounds how long a demotion waits for its secondaries.
const drainTimeout = 10 * time.Second

// changes carries out changes of role, one at a time.
type changes struct {
	core      *vaultcore.Core
	tap       *storage.Tap
	roles     *roles
	sessions  *sessions
	relations *relations.Relations
	rows      *rows
	term      *term
	ring      *keys.Ring
	own       *ownWrites
	requests  Requests
	logger    hclog.Logger

	// changing is held for the whole of a change.
	changing sync.Mutex
	// applies is held for reading by each apply, and for writing while a role changes.
	applies sync.RWMutex
}

// beginChange reserves the node for one change of role. It does not wait: the
// request that asks holds the core's state lock for reading, which the change
// under way may be waiting for.
func (c *changes) beginChange() error {
	if !c.changing.TryLock() {
		return replication.Errorf(replication.Unavailable, "another change of replication is under way on this cluster: "+
			"try again when it has ended")
	}
	return nil
}

// change is a change of the role in one mode. The caller says which change it is; decide and prepare fill in the rest.
type change struct {
	mode     replication.Mode
	from, to replication.Role
	// what names the change in the log and in the status.
	what string
	// ask has the plugin decide on the change.
	ask func(replication.Backend, context.Context) (*replication.Transition, error)
	// force promotes a secondary even if its content is not complete. lacking says that its content lacks something.
	force, lacking bool
	// consume uses up the DR operation token that allowed the change; nil for none.
	consume endpoints.Consume

	// transition is the plugin's decision.
	transition *replication.Transition
	// after is the record once the change is made.
	after *Record
	// rows are the records behind the barrier that change, in clear; nil deletes.
	rows map[string][]byte
}

// changeLive carries out a change that needs no restart of the core: between no role
// and primary.
func (c *changes) changeLive(ctx context.Context, ch *change) ([]string, error) {
	if err := c.beginChange(); err != nil {
		return nil, err
	}
	defer c.changing.Unlock()
	if err := c.decide(ctx, ch); err != nil {
		return nil, err
	}
	if err := c.setAfter(ctx, ch); err != nil {
		return nil, err
	}
	ch.rows = map[string][]byte{}
	if err := c.own.note(ctx, ch); err != nil {
		return nil, err
	}
	if err := c.own.reigns(ctx, ch); err != nil {
		return nil, err
	}
	return ch.transition.Warnings, c.putLive(ctx, ch.mode, ch.after, ch.transition, ch.rows)
}

// changeByRestart carries out a change that affects what a core builds at unseal. It restarts the core in place, after
// the request has ended.
func (c *changes) changeByRestart(ctx context.Context, ch *change) ([]string, error) {
	if err := c.beginChange(); err != nil {
		return nil, err
	}
	if err := c.decide(ctx, ch); err != nil {
		c.changing.Unlock()
		return nil, err
	}
	c.afterRequest(ctx, ch.mode, ch.what, c.changing.Unlock,
		func(ctx context.Context) error { return c.carryOut(ctx, ch) })
	return ch.transition.Warnings, nil
}

// decide asks the plugin for the transition. Nothing is changed yet.
func (c *changes) decide(ctx context.Context, ch *change) error {
	ch.after = c.roles.Record()
	if err := mustBe(ch.after, ch.mode, ch.from); err != nil {
		return err
	}
	b, err := c.sessions.backend(ctx, ch.mode)
	if err != nil {
		return err
	}
	if ch.transition, err = ch.ask(b, ctx); err != nil {
		return err
	}
	if have := ch.transition.Role; have != ch.to {
		return replication.Errorf(replication.Internal, "the plugin asked for the role %q in place of %q: nothing was "+
			"changed", have, ch.to)
	}
	return nil
}

// carryOut makes a change in this order: everything that can fail without a trace; the end of the sessions, which
// afterRequest begins again if the rest fails; one step in storage while the core is sealed.
func (c *changes) carryOut(ctx context.Context, ch *change) error {
	if err := c.prepare(ctx, ch); err != nil {
		return err
	}
	if err := c.endSessions(ctx, ch); err != nil {
		return err
	}
	if err := c.own.note(ctx, ch); err != nil {
		return err
	}
	if err := c.own.reigns(ctx, ch); err != nil {
		return err
	}
	rows, err := c.rows.encrypted(ctx, ch.rows)
	if err != nil {
		return err
	}
	end, err := c.rows.endOfHistory(ch.mode, ch.from)
	if err != nil {
		return err
	}
	if ch.consume != nil {
		if err := ch.consume(ctx); err != nil {
			return err
		}
	}
	return c.core.Restart(ctx, func(ctx context.Context) ([]byte, error) {
		// An apply of a plugin that hung may still be under way.
		c.applies.Lock()
		defer c.applies.Unlock()
		ending, err := c.rows.endingRows(ctx, ch.mode, ch.to)
		if err != nil {
			return nil, err
		}
		return nil, c.rows.write(ctx, slices.Concat(rows, ending, end))
	})
}

// prepare finds out the record after a change and the rows of the change. It stores nothing.
func (c *changes) prepare(ctx context.Context, ch *change) error {
	err := c.setAfter(ctx, ch)
	if err != nil {
		return err
	}
	if ch.rows, err = c.rows.stateRows(ctx, ch.mode, ch.transition); err != nil {
		return err
	}
	if ch.mode.Filtered() {
		// What the cluster has taken up of a filter does not apply to another role.
		ch.rows[filters.HidingKey] = nil
	}
	if ch.mode.StandsIn() {
		if err := c.otherRole(ctx, ch); err != nil {
			return err
		}
	}
	return withRole(ch.rows, ch.after)
}

// setAfter sets the role that the mode has after a change.
func (c *changes) setAfter(ctx context.Context, ch *change) (err error) {
	mr := ch.after.mode(ch.mode)
	mr.Role = ch.to
	mr.Contested = ch.transition.Contested && ch.to == replication.Primary
	switch {
	case ch.to == replication.Disabled:
		*mr = ModeRecord{Role: replication.Disabled}
	case ch.to == replication.Primary && ch.from == replication.Disabled:
		*mr = ModeRecord{Role: replication.Primary, SetID: ch.transition.ClusterID, IndexKey: handover.NewKey()}
		mr.Epoch, err = newHistory(replication.Epoch{})
	case ch.to == replication.Primary:
		// A promotion always begins an epoch: two histories must not share one.
		mr.SecondaryID, mr.Pairing = "", nil
		mr.Epoch, err = c.term.promotedFrom(ctx, ch.mode, mr.Epoch)
	}
	return err
}

// endSessions ends the sessions of the former role before the rows are made, because nothing may be applied or
// acknowledged that the rows do not know of.
func (c *changes) endSessions(ctx context.Context, ch *change) error {
	if ch.from == replication.Primary {
		if ch.mode.StandsIn() && c.roles.Role(ofClients) == replication.Secondary {
			// Applied rows of the performance primary are journalled past the guard. The secondary that goes on in this
			// cluster's place must have all of them, because the performance primary does not keep what was acknowledged here.
			c.sessions.stopPlugin(ofClients)
		}
		if err := c.drain(ctx, ch.mode); err != nil {
			return err
		}
	}
	c.sessions.stopPlugin(ch.mode)
	if ch.to != replication.Primary || ch.force {
		return nil
	}
	// The content was consistent when the plugin decided, but more may have been applied since.
	cur, _, err := c.ring.Cursor(ctx, ch.mode)
	if err == nil && !cur.Consistent() {
		err = replication.Errorf(replication.Unavailable, "the primary sent more while the promotion began, and it is not "+
			"complete: try again, or provide the 'force' argument")
	}
	return err
}

// otherRole changes the role in performance replication, for a change in a mode whose secondaries stand in for their
// primary. Such a secondary has no role there. It keeps the role of its primary at hand, and takes it over when it is
// promoted.
func (c *changes) otherRole(ctx context.Context, ch *change) error {
	switch {
	case ch.from != replication.Secondary:
		*ch.after.mode(ofClients) = ModeRecord{Role: replication.Disabled}
		return nil
	case ch.to == replication.Disabled:
		// It leaves the set, and with it the performance set.
		names, err := records.Below(ctx, c.core, records.OfMode(ofClients))
		for _, name := range names {
			ch.rows[records.OfMode(ofClients)+name] = nil
		}
		return err
	}
	role, err := inherited(ctx, c.core)
	if err != nil {
		return err
	}
	if role.Role == replication.Primary {
		if role.Epoch, err = c.term.promotedFrom(ctx, ofClients, role.Epoch); err != nil {
			return err
		}
	}
	role.Contested = ch.transition.Contested && role.Role != replication.Disabled
	*ch.after.mode(ofClients) = *role
	return nil
}

// afterRequest runs a change once its request has ended, because the restart waits for all requests, and the client
// waits for its answer. unlock ends the change.
func (c *changes) afterRequest(request context.Context, mode replication.Mode, what string, unlock func(),
	change func(context.Context) error) {
	c.roles.setFailure(mode, "")
	// The client's next request must meet the role that it has asked for.
	empty, open := c.requests.Hold()
	context.AfterFunc(request, func() {
		defer unlock()
		defer open()
		empty()
		// The change outlives the request. It also outlives the duty, because it seals the core.
		ctx := context.WithoutCancel(request)
		if err := change(ctx); err != nil {
			c.logger.Error("a change of role failed", "mode", mode, "change", what, "error", err)
			c.roles.setFailure(mode, what+" failed: "+err.Error())
			c.goOn(ctx)
			return
		}
		c.logger.Info("a change of role is complete", "mode", mode, "change", what, "role", c.roles.Role(mode))
	})
}

// goOn takes the present role up again after a change that failed.
func (c *changes) goOn(ctx context.Context) {
	duty, err := c.roles.active()
	if err != nil {
		return // the next leadership takes the role up; until then nothing is let through
	}
	if err := c.term.enforce(ctx, c.roles.Record(), false); err != nil {
		c.logger.Error("the guard of the storage could not be restored", "error", err)
	}
	// Both: a change in one mode may have ended the sessions of the other.
	for _, m := range modes {
		if c.roles.Role(m) != replication.Disabled {
			c.sessions.startPlugin(duty, m)
		}
	}
}

// drain ends the writes on a primary that is demoted. It waits until every connected secondary has stored the last
// write, so that whichever is promoted next has everything. It does not wait longer for a secondary that does not
// acknowledge in time: the demoted cluster keeps what it has not sent, and says so.
func (c *changes) drain(ctx context.Context, mode replication.Mode) error {
	if err := c.tap.SetGuard(ctx, storage.Guard{Level: storage.Frozen}); err != nil {
		return err
	}
	at, err := c.tap.Position(mode)
	if err != nil {
		return err
	}
	b := c.sessions.plugins.Running(mode)
	if b == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if behind := awaitAcknowledged(ctx, b, at.Position.Sequence, drainTimeout); behind != "" {
		c.logger.Warn("a secondary has not acknowledged all writes of the cluster that is demoted", "mode", mode, "secondary",
			behind, "sequence", at.Position.Sequence)
	}
	return nil
}

// putLive stores a record in one step with the plugin's rows, and puts it in force in the running core. beside are
// further rows, in clear; plain are rows that are not encrypted.
func (c *changes) putLive(ctx context.Context, mode replication.Mode, r *Record, t *replication.Transition,
	beside map[string][]byte, plain ...onestep.Row) error {
	rows, err := c.rows.stateRows(ctx, mode, t)
	if err != nil {
		return err
	}
	maps.Copy(rows, beside)
	encrypted, err := c.rows.recordRows(ctx, rows, r)
	if err != nil {
		return err
	}
	ending := r.mode(mode).Role == replication.Disabled
	if ending {
		c.sessions.stopPlugin(mode)
		ended, err := c.rows.deletions(ctx, plainPrefix(mode))
		if err != nil {
			return err
		}
		plain = append(plain, ended...)
	}
	if err := c.rows.write(ctx, append(encrypted, plain...)); err != nil {
		return err
	}
	// From here on the change is made, even if the client leaves.
	ctx = context.WithoutCancel(ctx)
	c.relations.ForgetAll()
	c.roles.setFailure(mode, "")
	if err := c.term.enforce(ctx, r, false); err != nil {
		return err
	}
	// The journal must be on before a slot can be opened: the plugin gets its
	// role after it.
	if err := c.term.beginTerm(ctx); err != nil {
		return err
	}
	if mr := r.mode(mode); mode.Filtered() && mr.Role == replication.Secondary {
		// The cluster has the filter of another id now. The request holds the core's state lock, so the next apply shows the
		// rest to the core.
		c.tap.Secondary(mode).Owe(filters.Key(mr.SecondaryID))
	}
	duty, err := c.roles.active()
	if err != nil {
		return err
	}
	if ending {
		go c.term.deleteFormerRows(duty)
	}
	b, err := c.sessions.backend(ctx, mode)
	if err != nil {
		return err
	}
	return c.sessions.giveRole(duty, mode, b)
}

// mustBe refuses a change unless the cluster has the role from which the change begins. A cluster that stands in for
// its primary cannot get a role in another mode.
func mustBe(r *Record, mode replication.Mode, want replication.Role) error {
	if m := r.standsFor(); m != "" && want == replication.Disabled {
		mode = m
	}
	return endpoints.RequireRole(mode, r.mode(mode).Role, want)
}
