// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/owed"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What was applied to the storage is owed to the host until OnApplied has taken it
// up. Who asked for an apply may be gone by then: a session that was cut, a plugin
// that was killed. So both the writes of an apply and the taking up run under the duty
// of this node, and what could not be taken up is tried again by the tap itself. See
// docs/adr/0024-what-was-applied-is-owed.md.

// owedMax bounds what is kept of keys that could not be taken up; beyond it nothing
// more is applied.
const owedMax = 16 << 20

// debt is what is owed of one mode.
type debt struct {
	keys owed.Keys
	// from is the cursor that the apply under way, or the last one, has found, target that
	// of the write that is in doubt, nil if it would say nothing; by applying.
	from, target *journal.Cursor

	mu    sync.Mutex
	timer *time.Timer
	said  bool
}

// OnDuty says that this node has begun to lead, once its core has read from storage
// what it needs. Applies run to their end under this context, and what is owed is taken
// up under it. When it ends nothing more is taken up here: whoever leads next, this
// node too, builds its core from the storage, which has all that was applied.
func (t *Tap) OnDuty(ctx context.Context) {
	t.duty.Store(&ctx)
	for mode, d := range t.debts {
		d.keys.Retry()
		t.planTakeUp(mode)
	}
}

// endDuty ends it for a tap that is closed: OnDuty begins the next one.
func (t *Tap) endDuty() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.OnDuty(over)
}

func (t *Tap) onDuty() context.Context { return *t.duty.Load() }

// detached is a context that ends with the duty and not with the caller's: what has
// begun to be written is written, and taken up, whoever waits for it.
func (t *Tap) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	duty := t.onDuty()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(duty, func() { cancel(context.Cause(duty)) })
	return ctx, func() { stop(); cancel(nil) }
}

// Owe has keys taken up, soon and before anything more is applied, that the storage
// has already: what they mean to the core has changed.
func (t *Tap) Owe(mode replication.Mode, keys ...string) {
	d := t.debts[mode]
	d.keys.Add(keys...)
	d.keys.Retry()
	t.planTakeUp(mode)
}

// Owed is how many keys are stored and could not be taken up, after several attempts.
func (t *Tap) Owed(mode replication.Mode) int {
	d := t.debts[mode]
	if d == nil {
		return 0
	}
	return d.keys.Late()
}

// Resume is the cursor from which a new session goes on. It waits for an apply of the
// former one that is under way, and has taken up what is owed, as far as that can be.
func (t *Tap) Resume(ctx context.Context, mode replication.Mode) (*replication.Cursor, error) {
	c, unlock, err := t.beginApply(ctx, mode)
	if err != nil {
		return nil, err
	}
	unlock()
	return c.Contract(), nil
}

// beginApply lets one apply of a mode be under way. What is owed of those before is
// taken up first.
func (t *Tap) beginApply(ctx context.Context, mode replication.Mode) (c *journal.Cursor, unlock func(), err error) {
	end, err := t.lockApply(ctx, mode)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	d := t.debts[mode]
	if c, err = t.readCursor(ctx, mode); err != nil {
		return nil, nil, err
	}
	if d.target != nil && c.At(d.target) {
		d.certain() // it has landed
	}
	if !d.keys.None() {
		t.takeUp(mode)
		// What was taken up may have marked it.
		if c, err = t.readCursor(ctx, mode); err != nil {
			return nil, nil, err
		}
	}
	if d.keys.Bytes() > owedMax {
		return nil, nil, replication.Errorf(replication.Unavailable,
			"%d changes of the primary are stored and the core of this secondary could not take them up: nothing more is applied until it has", d.keys.Late())
	}
	from := *c // the caller goes on with his
	d.from = &from
	t.setProgress(mode, c)
	return c, end, nil
}

// stored says how the write of an apply has ended, with the cursor that it has or would
// have moved to, and has what it has written taken up. The caller is the one that applies.
func (t *Tap) stored(mode replication.Mode, to *journal.Cursor, err error) {
	d := t.debts[mode]
	if err != nil {
		if d.target = to; to.At(d.from) {
			d.target = nil
		}
		d.keys.Doubt()
		t.planTakeUp(mode)
		return
	}
	d.certain()
	t.takeUp(mode)
	t.setProgress(mode, to)
}

func (d *debt) certain() {
	d.target = nil
	d.keys.Certain()
}

// setProgress says that the storage is at a cursor. Who waits for it is told when nothing
// is owed.
func (t *Tap) setProgress(mode replication.Mode, c *journal.Cursor) {
	p := t.progress[mode]
	p.reached(c)
	if t.debts[mode].keys.None() {
		p.taken()
	}
}

// takeUp has what is owed and due taken up. The caller is the one that applies.
func (t *Tap) takeUp(mode replication.Mode) {
	d := t.debts[mode]
	f := t.onApplied.Load()
	ctx := t.onDuty()
	d.keys.TakeUp(func(keys, doubted []string) (left []string) {
		if f == nil {
			return nil
		}
		// A cache below keeps what was there before a write that has failed.
		for _, key := range doubted {
			if _, err := t.readFresh(ctx, key); err != nil {
				left = append(left, key)
			}
		}
		t.telling.Lock()
		defer t.telling.Unlock()
		return append(left, (*f)(ctx, keys)...)
	})
	if d.keys.None() {
		t.progress[mode].taken()
	}
	t.planTakeUp(mode)
}

// planTakeUp sees to it that what is owed is tried again.
func (t *Tap) planTakeUp(mode replication.Mode) {
	d := t.debts[mode]
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	duty := t.onDuty()
	wait, owes := d.keys.Wait()
	n := d.keys.Late()
	switch {
	case n > 0 && !d.said:
		t.logger.Warn("changes of the primary are stored, and the running core has not taken them up yet: it is tried again; who waits for them waits", "mode", mode, "keys", n)
	case n == 0 && d.said:
		t.logger.Info("the running core has taken up all changes of the primary that are stored", "mode", mode)
	}
	if d.said = n > 0; d.said {
		t.progress[mode].endStored(errLate)
	}
	if !owes || duty.Err() != nil {
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		unlock, err := t.lockApply(duty, mode)
		if err != nil {
			return // the duty has ended
		}
		defer unlock()
		t.takeUp(mode)
	})
}
