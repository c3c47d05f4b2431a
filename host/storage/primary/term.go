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

// Journal is the journal of one term of a primary: it numbers writes, and keeps its head. The
// write path stores the rows. headMu is taken before the lock of retention.
type Journal struct {
	*records
	seq     *journal.Sequencer
	kept    *retention.Retention
	caps    retention.Caps
	numbers uint64 // how many are reserved at once
	// formerEnd is the last row of the former term up to which none is missing.
	formerEnd string

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

// rest stops what the journal writes by itself, and waits for it until the context ends.
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

// Term is that of all numbers that the journal gives out.
func (j *Journal) Term() uint64 { return j.seq.Term() }

// Lifetime ends with the journal.
func (j *Journal) Lifetime() context.Context { return j.ctx }

// Allocate gives out the number of a write, and says whether its row is to be stored. It waits
// when the reserved numbers are used up and the storage is slow to reserve more.
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

// Finish says that the write of a row, or what became of it, is in the storage.
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

// endMode takes out the slots of a mode.
func (j *Journal) endMode(mode replication.Mode) {
	j.kept.EndMode(mode)
	j.wake()
}

// errDeposed keeps the head of the leader of now. Without it nobody would know of its term
// when that ends: its rows would never be deleted and its numbers given out again.
var errDeposed = replication.Errorf(replication.Unavailable, "another node has begun to lead")

// writeHead makes the head durable and then allows numbers up to reserved. Ended says
// that no more are given out.
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

// keepHead writes the head again if a deposed leader has, who had looked at it before this
// one began.
func (j *Journal) keepHead(ctx context.Context) error {
	head, err := j.head(ctx)
	if err != nil || head.Term >= j.Term() {
		return err
	}
	return j.writeHead(ctx, j.seq.Limit(), false)
}
