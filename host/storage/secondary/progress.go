// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"errors"

	"github.com/vault-replication/vault-replication/host/storage/progress"
	"github.com/vault-replication/vault-replication/shared/replication"
)

var errNoSecondary = replication.Errorf(replication.Unavailable,
	"this node is no longer the active node of a secondary, so it cannot be said when the change arrives here: read it "+
		"again in a moment")

// errLate ends a wait when the core cannot take up what is stored: the caller may hold a lock that the core waits for.
var errLate = replication.Errorf(replication.Unavailable,
	"the change has arrived on this secondary, and its core could not take it up yet: read it again in a moment")

// WaitApplied waits until this secondary has applied a position of its primary and Observer.Applied has returned for
// it. It also waits for a copy that is under way; the caller's context bounds the wait. The error is PositionLost for a
// position of another epoch, and Unavailable when the role or the duty of this node ends, or when the core fails to
// take up what is stored.
func (d *debt) WaitApplied(ctx context.Context, at replication.Position) error {
	if at.Epoch.IsZero() {
		return replication.Errorf(replication.InvalidInput, "a position without an epoch cannot be waited for")
	}
	p := &d.progress
	w, err := p.Wait(at)
	if w == nil && err == nil {
		return nil
	}
	if errors.Is(err, progress.ErrUnknown) {
		if err := d.loadProgress(ctx); err != nil {
			return err
		}
		if w, err = p.Wait(at); errors.Is(err, progress.ErrUnknown) {
			err = errNoSecondary // it has ended meanwhile
		}
	}
	if w == nil || err != nil {
		return err
	}
	if d.Owed() > 0 {
		p.EndStored(errLate)
	}
	select {
	case err := <-w.Done():
		return err
	case <-ctx.Done():
		p.Forget(w)
		return replication.Errorf(replication.Unavailable, "the change at %s has not arrived on this secondary in time: %w",
			at, ctx.Err())
	}
}

// loadProgress reads the progress from storage. It takes no turn, because the caller may hold a lock that an apply
// waits for. This is safe: an apply owes its keys before it writes them, so the keys below the cursor that the core has
// not taken up are owed.
func (d *debt) loadProgress(ctx context.Context) error {
	ended := d.progress.Ended()
	c, err := d.readCursor(ctx)
	if err != nil {
		return err
	}
	d.progress.Load(c, ended, d.keys.None)
	return nil
}

// EndWaits ends all waiting, because the node's duty or the role of the cluster ends.
func (d *debt) EndWaits() { d.progress.End(errNoSecondary) }

// Copying says whether a copy is under way, as far as it is known.
func (d *debt) Copying() bool { return d.progress.Copying() }

// Waiting is how many callers of WaitApplied wait.
func (d *debt) Waiting() int { return d.progress.Waiting() }

// Applied is the position up to which Observer.Applied has returned, for which WaitApplied does not wait. It is zero
// while that is not known, and while a copy is under way.
func (d *debt) Applied(ctx context.Context) replication.Position {
	at, known := d.progress.At()
	if known {
		return at
	}
	if err := d.loadProgress(ctx); err != nil {
		return replication.Position{}
	}
	at, _ = d.progress.At()
	return at
}
