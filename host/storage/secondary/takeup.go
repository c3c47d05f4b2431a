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

// Applied keys are owed to the core until Observer.Applied has taken them up. The caller of an apply may be gone by
// then: a session was cut, or a plugin was killed. So the writes of an apply and the taking up run under the duty of
// this node, and the tap itself tries again what could not be taken up. See docs/adr/0024-what-was-applied-is-owed.md.

// owedMax bounds the memory of keys that could not be taken up; beyond it nothing more is applied.
const owedMax = 16 << 20

// debt has the owed keys of one mode: an apply has written them, and the core has not taken them up yet. It knows how
// far the mode is, and allows one apply at a time.
//
// applying is the turn to apply. It is taken before every other lock, and guards from and target. telling is taken
// inside it. mu guards the timer; mu and the lock of progress are held for a moment only.
type debt struct {
	below    *backing.Storage
	writes   Writer
	listener func() Listener
	duty     *Duty
	mode     replication.Mode
	applying lock.Turns
	progress progress.Progress

	keys owed.Keys
	// from is the cursor that the present or last apply found. target is the cursor of a write in doubt, nil if it would
	// not tell whether the write landed. applying guards both.
	from, target *journal.Cursor

	mu    sync.Mutex
	timer *time.Timer
	said  bool
}

// OnDuty says that this node's leadership has begun or ended. The owed keys are taken up if there is a duty.
// [Duty.Begin] is called before.
func (d *debt) OnDuty() {
	d.keys.Retry()
	d.planTakeUp()
}

// detached is a context that ends with the duty, not with the caller's context: a write that has begun is finished and
// taken up, even if its caller leaves.
func (d *debt) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	duty := d.duty.context()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(duty, func() { cancel(context.Cause(duty)) })
	return ctx, func() { stop(); cancel(nil) }
}

// Owe has stored keys taken up, soon and before anything more is applied, because their meaning to the core has
// changed.
func (d *debt) Owe(keys ...string) {
	d.keys.Add(keys...)
	d.keys.Retry()
	d.planTakeUp()
}

// Owed is how many stored keys could not be taken up in several attempts.
func (d *debt) Owed() int {
	return d.keys.Late()
}

// Resume is the cursor from which a new session goes on. It waits for an apply of the former session, and tries to have
// all owed keys taken up.
func (s *Secondary) Resume(ctx context.Context) (*replication.Cursor, error) {
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	unlock()
	return c.Contract(), nil
}

// beginApply lets one apply of a mode be under way. It first has the keys taken up that earlier ones owe.
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
		// The taking up may have marked the cursor.
		if c, err = d.readCursor(ctx); err != nil {
			return nil, nil, err
		}
	}
	if d.keys.Bytes() > owedMax {
		return nil, nil, replication.Errorf(replication.Unavailable,
			"%d changes of the primary are stored and the core of this secondary could not take them up: nothing more is "+
				"applied until it has", d.keys.Late())
	}
	from := *c // the caller changes its own
	d.from = &from
	d.setProgress(c)
	return c, end, nil
}

// stored says how the write of an apply has ended, with the cursor that it wrote or tried to write, and has the written
// keys taken up. The caller holds the turn to apply.
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

// setProgress says that the storage is at a cursor. Callers that wait for it are told when nothing is owed.
func (d *debt) setProgress(c *journal.Cursor) {
	p := &d.progress
	p.Reached(c)
	if d.keys.None() {
		p.Taken()
	}
}

// takeUp has the owed keys that are due taken up. The caller holds the turn to apply.
func (d *debt) takeUp() {
	ctx := d.duty.context()
	d.keys.TakeUp(func(keys, doubted []string) (left []string) {
		// After a failed write a cache below still has the former value.
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

// planTakeUp plans the next attempt to take up the owed keys.
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
