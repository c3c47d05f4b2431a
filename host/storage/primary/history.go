// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Storage that goes back in time, by a snapshot or an old data directory, takes the
// journal with it, and its numbers are then given out a second time. A secondary that
// has applied rows of the history that is gone must not go on from there. It is known
// by its term, which has a random part, and by where that term ends in what is stored.
// See docs/adr/0016-storage-that-goes-back.md.

// history is what this process knows of its own terms. reached is guarded by the lock of the
// write path.
type history struct {
	*current
	below   *backing.Storage
	tell    func()
	reached reached // of the last term of this process
	lost    atomic.Bool
	lostAt  atomic.Pointer[replication.Position]
}

// reached is how far this process has been in a term.
type reached struct {
	term, sequence uint64
}

// termEnd is the highest number up to which all rows of the last term in a head are
// stored: no number above it was ever streamed from this storage. While a slot holds,
// every finished number has a row (see finish), so nothing that was streamed is
// above it in the same history. It notes up to where the term is sure of its rows.
func (r *records) termEnd(ctx context.Context, head *journal.Head) (uint64, error) {
	if len(head.Terms) == 0 {
		return head.Reserved, nil
	}
	last := &head.Terms[len(head.Terms)-1]
	if head.Ended {
		last.Sure = head.Reserved
		return head.Reserved, nil
	}
	end := max(head.Finished, head.RowsAfter)
	for _, m := range replication.Modes() {
		// What was acknowledged was finished, and its row may be deleted.
		err := r.eachSlot(ctx, m, func(_ string, b []byte) error {
			if rec, err := journal.DecodeSlot(b); err == nil && rec.Acked.Sequence <= head.Reserved {
				end = max(end, rec.Acked.Sequence)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	last.Sure = end
	for end < head.Reserved {
		to := min(end+rowGroup, head.Reserved)
		keys := make([]string, 0, rowGroup)
		for n := end + 1; n <= to; n++ {
			keys = append(keys, journal.RowKey(last.Term, n))
		}
		rows, err := r.below.ReadAll(physical.CacheRefreshContext(ctx, true), keys)
		if err != nil {
			return 0, failure.Storage("look for the last row of a term", err)
		}
		for _, row := range rows {
			if row == nil {
				return end, nil
			}
			end++
		}
	}
	return end, nil
}

// checkHistory is an error if a position of the journal's epoch is not of what is stored here. What a
// secondary says proves nothing more: see Given.
func (j *Journal) checkHistory(at replication.Position) error {
	if has, _ := j.kept.Has(at); has {
		return nil
	}
	why := "its storage went back in time since"
	if !j.below.Fences() {
		why += ", or a node that led before has sent more than the next one found"
	}
	return replication.Errorf(replication.PositionLost,
		"the secondary is at %s, which is not in what the primary has stored: %s, and the secondary has to compare and copy",
		at, why)
}

// Given says that this cluster has given a position to a secondary, which has shown it.
// If it is not of what is stored here, that is gone: HistoryLost. A position of another
// epoch says nothing.
func (h *history) Given(mode replication.Mode, at replication.Position) {
	j, cfg, err := h.journalOf(mode)
	if err != nil || at.Epoch != cfg.Epoch {
		return
	}
	if _, gone := j.kept.Has(at); gone {
		h.isLost(at)
	}
}

// noteBefore compares what this process knows of its own former terms with what is
// stored, when a term begins: the storage may have been replaced under it.
func (h *history) noteBefore(j *Journal) {
	was := h.reached
	if was.term == 0 {
		return
	}
	at := replication.Position{Term: was.term, Sequence: was.sequence}
	if _, gone := j.kept.Has(at); gone || journal.TermCount(was.term) >= journal.TermCount(j.Term()) {
		h.isLost(at)
	}
}

// noteReached remembers how far a journal was that ends.
func (h *history) noteReached(j *Journal) {
	h.reached = reached{term: j.Term()}
	if j.kept.Retains() {
		h.reached.sequence = j.Watermark()
	}
}

// isLost remembers the position that is the proof.
func (h *history) isLost(at replication.Position) {
	if h.lost.Swap(true) {
		return
	}
	h.lostAt.Store(&at)
	h.tell()
}

// HistoryLost says that the storage has turned out to have gone back in time, by what
// this process or a secondary knows: the primary needs a new epoch. BeginHistory
// forgets it.
func (h *history) HistoryLost() bool { return h.lost.Load() }

// HistoryWasLate says that nothing has gone back in time: the row that proved it is
// stored, or was found and remembered, so that a node has written and sent it after another
// one had begun to lead, which storage without fencing cannot keep it from.
func (h *history) HistoryWasLate(ctx context.Context) bool {
	at := h.lostAt.Load()
	if at == nil || at.Sequence == 0 || h.below.Fences() {
		return false
	}
	if now := h.now.Load(); now != nil && now.kept.WasLate(*at) {
		return true
	}
	row, err := h.below.ReadFresh(ctx, journal.RowKey(at.Term, at.Sequence))
	return err == nil && row != nil
}

// BeginHistory says that Activate has begun the new epoch.
func (h *history) BeginHistory() { h.lost.Store(false) }
