// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
)

const (
	// deleteBatch is the highest number of rows that one transaction deletes.
	deleteBatch = 256
	// choreRetry is the pause after a failed chore.
	choreRetry = time.Second
)

// wake lets the housekeeping look for work.
func (r *retention) wake() {
	select {
	case r.chores <- struct{}{}:
	default:
	}
}

// housekeeping reserves numbers, stores acknowledgements, gives up slots that are
// over their cap and deletes rows that nobody needs, until the journal ends.
func (j *activeJournal) housekeeping() {
	look := time.NewTicker(j.look())
	defer look.Stop()
	for {
		var retry <-chan time.Time
		if err := j.doChores(j.ctx); err != nil && j.ctx.Err() == nil {
			j.of.below.Logger.Warn("the journal's records cannot be kept up; trying again", "error", err)
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

func (j *activeJournal) doChores(ctx context.Context) error {
	if err := j.reserveMore(ctx); err != nil {
		return err
	}
	if err := j.persistAcks(ctx); err != nil {
		return err
	}
	if err := j.markTime(ctx); err != nil {
		return err
	}
	if err := j.checkCaps(ctx); err != nil {
		return err
	}
	return j.deleteRows(ctx)
}

// reserveMore keeps at least half a block of numbers ready.
func (j *activeJournal) reserveMore(ctx context.Context) error {
	given, limit := j.seq.Allocated(), j.seq.Limit()
	if limit-given > j.of.numbers/2 {
		return nil
	}
	return j.writeHead(ctx, given+2*j.of.numbers, false)
}

// deleteRows deletes rows that all slots have acknowledged durably. A reader of
// such a row is told PositionLost before the first is gone.
func (j *activeJournal) deleteRows(ctx context.Context) error {
	j.mu.Lock()
	to := j.seq.Watermark()
	nobody := j.openSlots() == 0
	if nobody {
		to = min(to, j.lastRow)
	}
	for _, slots := range j.slots {
		for _, s := range slots {
			if s.lost == "" {
				to = min(to, s.stored)
			}
		}
	}
	from := j.deleted
	// Deleting a few rows at a time would cost a transaction for each.
	if to <= from || (to-from < deleteBatch && j.openSlots() > 0) {
		j.mu.Unlock()
		return nil
	}
	j.rowsFrom = max(j.rowsFrom, to)
	terms := append([]journal.TermStart(nil), j.terms...)
	j.mu.Unlock()

	if nobody {
		// The rows are all that says up to where numbers were finished, and so given to a
		// secondary whose slot was lost. The head says it from here on.
		if err := j.writeHead(ctx, j.seq.Limit(), false); err != nil {
			return err
		}
	}
	for from < to {
		if err := j.reserveMore(ctx); err != nil {
			return err
		}
		end := min(to, from+deleteBatch)
		if err := j.of.deleteRun(ctx, terms, from, end); err != nil {
			return err
		}
		from = end
		j.mu.Lock()
		j.deleted = max(j.deleted, end)
		j.mu.Unlock()
	}
	return nil
}

// deleteRun deletes the rows after one number up to another.
func (p *primary) deleteRun(ctx context.Context, terms []journal.TermStart, from, to uint64) error {
	most, size := p.below.Limits()
	writes := make([]*physical.TxnEntry, 0, min(most, int(to-from)))
	bytes := 0
	flush := func() error {
		err := p.below.Store(ctx, writes)
		writes, bytes = writes[:0:0], 0
		return err
	}
	for n := from + 1; n <= to; n++ {
		e := &physical.Entry{Key: journal.RowKey(journal.TermOf(terms, n), n)}
		if len(writes) > 0 && (len(writes) >= most || bytes+txn.Size(e) > size) {
			if err := flush(); err != nil {
				return failure.Storage("delete journal rows", err)
			}
		}
		writes = append(writes, &physical.TxnEntry{Operation: physical.DeleteOperation, Entry: e})
		bytes += txn.Size(e)
	}
	if err := flush(); err != nil {
		return failure.Storage("delete journal rows", err)
	}
	return nil
}
