// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/owed"
	"github.com/vault-replication/vault-replication/host/storage/progress"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What was applied to the storage is owed to the host until Observer.Applied has taken it
// up. Who asked for an apply may be gone by then: a session that was cut, a plugin
// that was killed. So both the writes of an apply and the taking up run under the duty
// of this node, and what could not be taken up is tried again by the tap itself. See
// docs/adr/0024-what-was-applied-is-owed.md.

// owedMax bounds what is kept of keys that could not be taken up; beyond it nothing
// more is applied.
const owedMax = 16 << 20

// debt is what is owed of one mode: written by an apply, and not taken up by the core yet.
// It says how far the mode is, and lets one apply be under way.
//
// applying is the turn of who applies, and is taken before every other lock; it guards
// from and target. telling is taken inside it. mu, of the timer, and the lock of progress
// are held for a moment.
type debt struct {
	below    *backing.Storage
	writes   Writer
	listener func() Listener
	duty     *Duty
	mode     replication.Mode
	applying lock.Turns
	progress progress.Progress

	keys owed.Keys
	// from is the cursor that the apply under way, or the last one, has found, target that
	// of the write that is in doubt, nil if it would say nothing; by applying.
	from, target *journal.Cursor

	mu    sync.Mutex
	timer *time.Timer
	said  bool
}

// OnDuty says that this node has begun to lead, or that it has ended: what is owed is
// taken up, if there is a duty. See [Duty.Begin], which is called before.
func (d *debt) OnDuty() {
	d.keys.Retry()
	d.planTakeUp()
}

// detached is a context that ends with the duty and not with the caller's: what has
// begun to be written is written, and taken up, whoever waits for it.
func (d *debt) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	duty := d.duty.context()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(duty, func() { cancel(context.Cause(duty)) })
	return ctx, func() { stop(); cancel(nil) }
}

// Owe has keys taken up, soon and before anything more is applied, that the storage
// has already: what they mean to the core has changed.
func (d *debt) Owe(keys ...string) {
	d.keys.Add(keys...)
	d.keys.Retry()
	d.planTakeUp()
}

// Owed is how many keys are stored and could not be taken up, after several attempts.
func (d *debt) Owed() int {
	return d.keys.Late()
}

// Resume is the cursor from which a new session goes on. It waits for an apply of the
// former one that is under way, and has taken up what is owed, as far as that can be.
func (s *Secondary) Resume(ctx context.Context) (*replication.Cursor, error) {
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	unlock()
	return c.Contract(), nil
}

// beginApply lets one apply of a mode be under way. What is owed of those before is
// taken up first.
func (d *debt) beginApply(ctx context.Context) (c *journal.Cursor, unlock func(), err error) {
	end, err := d.lockApply(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if c, err = d.readCursor(ctx); err != nil {
		return nil, nil, err
	}
	if d.target != nil && c.At(d.target) {
		d.certain() // it has landed
	}
	if !d.keys.None() {
		d.takeUp()
		// What was taken up may have marked it.
		if c, err = d.readCursor(ctx); err != nil {
			return nil, nil, err
		}
	}
	if d.keys.Bytes() > owedMax {
		return nil, nil, replication.Errorf(replication.Unavailable,
			"%d changes of the primary are stored and the core of this secondary could not take them up: nothing more is "+
				"applied until it has", d.keys.Late())
	}
	from := *c // the caller goes on with his
	d.from = &from
	d.setProgress(c)
	return c, end, nil
}

// stored says how the write of an apply has ended, with the cursor that it has or would
// have moved to, and has what it has written taken up. The caller is the one that applies.
func (d *debt) stored(to *journal.Cursor, err error) {
	if err != nil {
		if d.target = to; to.At(d.from) {
			d.target = nil
		}
		d.keys.Doubt()
		d.planTakeUp()
		return
	}
	d.certain()
	d.takeUp()
	d.setProgress(to)
}

func (d *debt) certain() {
	d.target = nil
	d.keys.Certain()
}

// setProgress says that the storage is at a cursor. Who waits for it is told when nothing
// is owed.
func (d *debt) setProgress(c *journal.Cursor) {
	p := &d.progress
	p.Reached(c)
	if d.keys.None() {
		p.Taken()
	}
}

// takeUp has what is owed and due taken up. The caller is the one that applies.
func (d *debt) takeUp() {
	ctx := d.duty.context()
	d.keys.TakeUp(func(keys, doubted []string) (left []string) {
		// A cache below keeps what was there before a write that has failed.
		for _, key := range doubted {
			if _, err := d.below.ReadFresh(ctx, key); err != nil {
				left = append(left, key)
			}
		}
		d.duty.telling.Lock()
		defer d.duty.telling.Unlock()
		return append(left, d.listener().Applied(ctx, keys)...)
	})
	if d.keys.None() {
		d.progress.Taken()
	}
	d.planTakeUp()
}

// planTakeUp sees to it that what is owed is tried again.
func (d *debt) planTakeUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	duty := d.duty.context()
	wait, owes := d.keys.Wait()
	n := d.keys.Late()
	switch {
	case n > 0 && !d.said:
		d.below.Logger.Warn("changes of the primary are stored, and the running core has not taken them up yet: it is "+
			"tried again; who waits for them waits", "mode", d.mode, "keys", n)
	case n == 0 && d.said:
		d.below.Logger.Info("the running core has taken up all changes of the primary that are stored", "mode", d.mode)
	}
	if d.said = n > 0; d.said {
		d.progress.EndStored(errLate)
	}
	if !owes || duty.Err() != nil {
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		unlock, err := d.lockApply(duty)
		if err != nil {
			return // the duty has ended
		}
		defer unlock()
		d.takeUp()
	})
}
