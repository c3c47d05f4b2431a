// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"errors"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/retention"
)

const (
	// deleteBatch is the highest number of rows that are deleted at once.
	deleteBatch = 256
	// choreRetry is the pause after a failed chore.
	choreRetry = time.Second
)

// housekeeping runs until the journal ends. It reserves numbers, stores acknowledgements, gives up slots over their
// cap, and deletes rows that nobody needs.
func (j *Journal) housekeeping() {
	look := time.NewTicker(j.caps.LookEvery())
	defer look.Stop()
	for {
		var retry <-chan time.Time
		if err := j.doChores(j.ctx); err != nil && j.ctx.Err() == nil {
			j.below.Logger.Warn("the journal's records cannot be kept up; trying again", "error", err)
			retry = time.After(choreRetry)
		}
		select {
		case <-j.chores:
		case <-look.C:
		case <-retry:
		case <-j.ctx.Done():
			return
		}
	}
}

func (j *Journal) doChores(ctx context.Context) error {
	for _, chore := range []func(context.Context) error{
		j.reserveMore, j.persistSlots, j.markTime, j.checkCaps, j.deleteRows,
	} {
		if err := chore(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reserveMore keeps at least half a block of numbers ready.
func (j *Journal) reserveMore(ctx context.Context) error {
	given, limit := j.seq.Allocated(), j.seq.Limit()
	if limit-given > j.numbers/2 {
		return nil
	}
	return j.writeHead(ctx, given+2*j.numbers, false)
}

// persistSlots stores what is ahead of the records of the slots.
func (j *Journal) persistSlots(ctx context.Context) error { return j.persist(ctx, false) }

func (j *Journal) persist(ctx context.Context, end bool) error {
	done, err := j.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	slots, records := j.kept.Ahead(end)
	var errs []error
	for i, s := range slots {
		if err := j.putSlot(ctx, s.Mode(), records[i]); err != nil {
			errs = append(errs, err)
		} else if !j.kept.Recorded(s, records[i]) {
			// Closed meanwhile: its record must not come back.
			errs = append(errs, j.deleteSlot(ctx, s.Mode(), records[i].ID))
		}
	}
	return errors.Join(errs...)
}

// markTime writes a mark from time to time.
func (j *Journal) markTime(ctx context.Context) error {
	if !j.kept.MarkDue() {
		return nil
	}
	return j.writeHead(ctx, j.seq.Limit(), false)
}

// checkCaps gives up the slots over their caps: first in the storage, then in memory. Only after that are rows deleted.
// The log warns once of each slot before.
func (j *Journal) checkCaps(ctx context.Context) error {
	near := j.kept.Look()
	for _, s := range near {
		if s.First {
			j.below.Logger.Warn("a secondary is near the cap of what is retained for it; past the cap it has to compare "+
				"and copy",
				"mode", s.Mode(), "id", s.ID, "retained_bytes", s.RetainedBytes, "retained_age",
				s.RetainedAge.Round(time.Second).String())
		}
	}
	for _, s := range near {
		if s.Reason == "" {
			continue
		}
		if err := j.lose(ctx, &s); err != nil {
			return err
		}
	}
	return nil
}

// lose ends retention for a slot, unless it was closed or opened anew meanwhile.
func (j *Journal) lose(ctx context.Context, s *retention.Near) error {
	done, err := j.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	rec := j.kept.Losing(s.Slot, s.Reason)
	if rec == nil {
		return nil
	}
	if err := j.putSlot(ctx, s.Mode(), rec); err != nil {
		return err
	}
	j.kept.Lose(s.Slot, s.Reason)
	j.below.Logger.Error("nothing is retained for a secondary any more, so it has to compare and copy when it comes",
		"mode", s.Mode(), "id", s.ID, "reason", s.Reason)
	return nil
}

// deleteRows deletes the rows whose acknowledgement by all slots is stored. Before the first row is gone, readers of
// such rows get PositionLost.
func (j *Journal) deleteRows(ctx context.Context) error {
	from, to, nobody := j.kept.Deletable(deleteBatch)
	if nobody && from < to {
		// Without an open slot only the rows show which numbers were finished, so a secondary whose slot was lost may have
		// them. Store that in the head before the rows go.
		if err := j.writeHead(ctx, j.seq.Limit(), false); err != nil {
			return err
		}
	}
	for from < to {
		if err := j.reserveMore(ctx); err != nil {
			return err
		}
		end := min(to, from+deleteBatch)
		if err := j.deleteRun(ctx, j.kept.Terms(), from, end); err != nil {
			return err
		}
		from = end
		j.kept.Deleted(end)
	}
	return nil
}
