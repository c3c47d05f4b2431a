// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Journal is the journal of one term of a primary. It numbers writes and keeps its head; the write path stores the
// rows. headMu is taken before the lock of retention.
type Journal struct {
	*records
	seq     *journal.Sequencer
	kept    *retention.Retention
	caps    retention.Caps
	numbers uint64 // how many are reserved at once
	// formerEnd is the key of the last row of the former term before the first missing one.
	formerEnd string
	// unfinished are the rows after it that were there when this term began, before any index did.
	unfinished map[string]lateRow

	ctx    context.Context // ends with the journal
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	chores chan struct{} // wakes the housekeeping

	headMu sync.Mutex // serialises writes of the head record
}

// end stops everything that belongs to the journal and waits for it.
func (j *Journal) end() {
	j.cancel()
	j.seq.Close()
	j.tasks.Wait()
}

// rest stops the background tasks and waits for their end, at most until the context ends.
func (j *Journal) rest(ctx context.Context) {
	j.cancel()
	over := make(chan struct{})
	go func() {
		j.tasks.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// wake lets the housekeeping look for work.
func (j *Journal) wake() {
	select {
	case j.chores <- struct{}{}:
	default:
	}
}

// Term is the term of all numbers that the journal gives out.
func (j *Journal) Term() uint64 { return j.seq.Term() }

// Lifetime ends with the journal.
func (j *Journal) Lifetime() context.Context { return j.ctx }

// Allocate gives out the number of a write. retain says whether its row must be stored. It waits if no reserved number
// is left and the storage is slow to reserve more.
func (j *Journal) Allocate(ctx context.Context) (n uint64, retain bool, err error) {
	for {
		n, retain, low, ok, wait := j.seq.Allocate(j.numbers)
		if low {
			j.wake()
		}
		if ok {
			return n, retain, nil
		}
		select {
		case <-wait:
		case <-j.ctx.Done():
			return 0, false, failure.Ended
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
	}
}

// Stored counts a row that is stored, or may be.
func (j *Journal) Stored(bytes int) {
	if j.kept.Count(bytes) {
		j.wake()
	}
}

// Finish says that the write of a row has ended: it is stored, or the row says what the storage has instead.
func (j *Journal) Finish(row *journal.Row) { j.seq.Finish(row.Sequence, row) }

// Watermark is the number up to which all writes are finished.
func (j *Journal) Watermark() uint64 { return j.seq.Watermark() }

// waitFor waits until the watermark has reached a number.
func (j *Journal) waitFor(ctx context.Context, n uint64) error {
	for n > 0 {
		wait := j.seq.Moved(n - 1)
		if wait == nil {
			return nil
		}
		select {
		case <-wait:
		case <-j.ctx.Done():
			return failure.Ended
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// endMode removes the slots of a mode.
func (j *Journal) endMode(mode replication.Mode) {
	j.kept.EndMode(mode)
	j.wake()
}

// errDeposed keeps a deposed leader from overwriting the present leader's head. Otherwise the present term would be
// forgotten: its rows would never be deleted, and its numbers would be given out again.
var errDeposed = replication.Errorf(replication.Unavailable, "another node has begun to lead")

// writeHead stores the head and then allows numbers up to reserved. ended says that no more are given out.
func (j *Journal) writeHead(ctx context.Context, reserved uint64, ended bool) error {
	j.headMu.Lock()
	defer j.headMu.Unlock()
	if !j.below.Fences() {
		head, err := j.head(ctx)
		if err != nil {
			return err
		}
		if head.Term > j.Term() {
			return errDeposed
		}
	}
	if err := j.putHead(ctx, j.kept.Head(reserved, ended)); err != nil {
		return err
	}
	j.seq.Reserve(reserved)
	return nil
}

// keepHead writes the head again if a deposed leader has overwritten it. That leader read the head before this term
// began.
func (j *Journal) keepHead(ctx context.Context) error {
	head, err := j.head(ctx)
	if err != nil || head.Term >= j.Term() {
		return err
	}
	return j.writeHead(ctx, j.seq.Limit(), false)
}
