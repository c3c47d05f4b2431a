// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/vault-replication/vault-replication/host/api/endpoints"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// beginChange reserves the node for one change of role. It does not wait: the
// request that asks holds the core's state lock for reading, which the change
// under way may be waiting for.
func (c *Controller) beginChange() error {
	if !c.changing.TryLock() {
		return replication.Errorf(replication.Unavailable, "another change of replication is under way on this cluster: try again when it has ended")
	}
	return nil
}

// changeByRestart asks the plugin for a transition and carries it out by a
// restart of the core in place, after the request has ended.
func (c *Controller) changeByRestart(ctx context.Context, mode replication.Mode, from, to replication.Role, what string, force bool, consume endpoints.Consume, decide func(context.Context, replication.Backend) (*replication.Transition, error)) ([]string, error) {
	if err := c.beginChange(); err != nil {
		return nil, err
	}
	release := c.changing.Unlock
	defer func() { release() }()
	r := c.Record()
	if err := mustBe(r, mode, from); err != nil {
		return nil, err
	}
	b, err := c.backend(ctx, mode)
	if err != nil {
		return nil, err
	}
	t, err := decide(ctx, b)
	if err != nil {
		return nil, err
	}
	if t.Role != to {
		return nil, unexpected(t.Role, to)
	}
	unlock := release
	release = func() {}
	c.afterRequest(ctx, mode, what, unlock, func(ctx context.Context) error { return c.restartInto(ctx, mode, r, t, force, consume) })
	return t.Warnings, nil
}

// restartInto carries out a transition that changes what a core builds at
// unseal.
func (c *Controller) restartInto(ctx context.Context, mode replication.Mode, r *Record, t *replication.Transition, force bool, consume endpoints.Consume) error {
	mr := r.mode(mode)
	from := mr.Role
	mr.Role = t.Role
	mr.Contested = t.Contested && t.Role == replication.Primary
	switch t.Role {
	case replication.Disabled:
		*mr = ModeRecord{Role: replication.Disabled}
	case replication.Primary:
		// A promotion always begins an epoch: two histories must not share one.
		mr.SecondaryID, mr.Pairing = "", nil
		epoch, err := c.epochAfter(ctx, mode, mr.Epoch)
		if err != nil {
			return err
		}
		mr.Epoch = epoch
	case replication.Secondary, replication.Bootstrapping: // its epoch is the primary's
	}
	rows, err := c.stateRows(ctx, mode, t)
	if err != nil {
		return err
	}
	if mode == replication.Performance {
		// What it has taken up of a filter is no measure for another role.
		rows[hidingKey] = nil
	}
	if mode == replication.DR {
		if err := c.otherRole(ctx, r, from, t.Contested, rows); err != nil {
			return err
		}
	}
	if err := withRole(rows, r); err != nil {
		return err
	}
	if from == replication.Primary {
		if mode == replication.DR && c.Role(replication.Performance) == replication.Secondary {
			// What is applied from the performance primary is journalled past the guard. The
			// DR secondary that goes on in this cluster's place is to have all of it: of what
			// was acknowledged here, the performance primary keeps nothing.
			c.stopPlugin(replication.Performance)
		}
		if err := c.drain(ctx, mode); err != nil {
			return err
		}
	}
	// The sessions end before the rows are made: nothing may be applied or
	// acknowledged beyond what the rows say.
	c.stopPlugin(mode)
	if t.Role == replication.Primary && !force {
		// It was consistent when the plugin decided; more may have been applied.
		cur, _, err := c.cursor(ctx, mode)
		if err != nil {
			return err
		}
		if !cur.Consistent() {
			return replication.Errorf(replication.Unavailable, "the primary sent more while the promotion began, and it is not complete: try again, or provide the 'force' argument")
		}
	}
	encrypted, err := c.encrypted(ctx, rows)
	if err != nil {
		return err
	}
	at, err := c.endOfHistory(mode, from)
	if err != nil {
		return err
	}
	if consume != nil {
		if err := consume(ctx); err != nil {
			return err
		}
	}
	return c.core.Restart(ctx, func(ctx context.Context) ([]byte, error) {
		// An apply of a plugin that hung may still be under way.
		c.applies.Lock()
		defer c.applies.Unlock()
		plain, err := c.endingRows(ctx, mode, t.Role)
		if err != nil {
			return nil, err
		}
		if at != nil {
			// What a primary holds is consistent, and it may be promoted again as long
			// as nobody else was.
			cursor, err := secondary.CursorAt(mode, *at)
			if err != nil {
				return nil, err
			}
			plain = append(plain, onestep.Row{Key: cursor.Key, Value: cursor.Value})
		}
		return nil, c.write(ctx, append(encrypted, plain...))
	})
}

// otherRole is what a change of the role in disaster recovery does to the one in
// performance replication. A DR secondary has none; it keeps that of its primary
// at hand, for it takes it over with everything else when it is promoted.
func (c *Controller) otherRole(ctx context.Context, r *Record, from replication.Role, contested bool, rows map[string][]byte) error {
	if from != replication.Secondary {
		r.Performance = ModeRecord{Role: replication.Disabled}
		return nil
	}
	if r.DR.Role == replication.Disabled {
		// It leaves the set, and with it the performance set.
		names, err := listBelow(ctx, c.core, modePrefix(replication.Performance))
		for _, name := range names {
			rows[modePrefix(replication.Performance)+name] = nil
		}
		return err
	}
	role, err := inherited(ctx, c.core)
	if err != nil {
		return err
	}
	if role.Role == replication.Primary {
		if role.Epoch, err = c.epochAfter(ctx, replication.Performance, role.Epoch); err != nil {
			return err
		}
	}
	role.Contested = contested && role.Role != replication.Disabled
	r.Performance = *role
	return nil
}

// epochAfter is the epoch after the record's and after the one that a secondary
// has followed its primary into.
func (c *Controller) epochAfter(ctx context.Context, mode replication.Mode, epoch replication.Epoch) (replication.Epoch, error) {
	cur, err := c.tap.Secondary(mode).Cursor(ctx)
	if err != nil {
		return replication.Epoch{}, err
	}
	if cur.Position.Epoch.Generation > epoch.Generation {
		epoch = cur.Position.Epoch
	}
	return newEpoch(epoch)
}

// endOfHistory is where a primary that is demoted stands, nil in other cases.
func (c *Controller) endOfHistory(mode replication.Mode, from replication.Role) (*replication.Position, error) {
	if from != replication.Primary {
		return nil, nil
	}
	p, err := c.tap.Position(mode)
	if err != nil {
		return nil, err
	}
	return &p.Position, nil
}

// endingRows deletes the unencrypted rows that do not outlive a change to a
// role: slots end with a primary, the cursor with the set. A promoted secondary
// keeps its cursor, above which its own numbers begin.
func (c *Controller) endingRows(ctx context.Context, mode replication.Mode, to replication.Role) ([]onestep.Row, error) {
	switch {
	case to == replication.Secondary && mode == replication.DR:
		rows, err := c.deletions(ctx, plainPrefix(mode)+"slots/")
		if err != nil {
			return nil, err
		}
		other, err := c.deletions(ctx, plainPrefix(replication.Performance)+"slots/")
		return append(rows, other...), err
	case to == replication.Secondary:
		return c.deletions(ctx, plainPrefix(mode)+"slots/")
	case to == replication.Disabled:
		return c.deletions(ctx, plainPrefix(mode))
	default:
		return nil, nil
	}
}

// afterRequest runs a change once the request that asked for it has ended: the
// restart needs the core to itself, and the client its answer. Unlock ends the
// change.
func (c *Controller) afterRequest(request context.Context, mode replication.Mode, what string, unlock func(), change func(context.Context) error) {
	c.setFailure(mode, "")
	// What the client sends next is for the role that it has asked for.
	empty, open := c.requests.Hold()
	context.AfterFunc(request, func() {
		defer unlock()
		defer open()
		empty()
		// The change outlives the request and, for it seals the core, the duty.
		if err := change(context.WithoutCancel(request)); err != nil {
			c.logger.Error("a change of role failed", "mode", mode, "change", what, "error", err)
			c.setFailure(mode, what+" failed: "+err.Error())
			if eerr := c.enforce(context.WithoutCancel(request), c.Record(), false); eerr != nil {
				c.logger.Error("the guard of the storage could not be restored", "error", eerr)
			}
			if duty, derr := c.active(); derr == nil {
				// Both: a change in one mode may have ended the sessions of the other.
				for _, m := range modes {
					if c.Role(m) != replication.Disabled {
						c.startPlugin(duty, m)
					}
				}
			}
			return
		}
		c.logger.Info("a change of role is complete", "mode", mode, "change", what, "role", c.Role(mode))
	})
}

func (c *Controller) setFailure(mode replication.Mode, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure[mode] = text
}
