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

// A restored snapshot or an old data directory takes the journal back in time, and its numbers are given out a second
// time. A secondary that has applied rows of the lost history must not resume. Its position shows this: its term has a
// random part, and the storage knows where each term ends. See docs/adr/0016-storage-that-goes-back.md.

// history is what this process knows of its own terms. The lock of the write path guards reached.
type history struct {
	*current
	below   *backing.Storage
	tell    func()
	reached reached // in the last term of this process
	lost    atomic.Bool
	lostAt  atomic.Pointer[replication.Position]
}

// reached is how far this process came in a term.
type reached struct {
	term, sequence uint64
}

// termEnd is the number up to which all rows of the last term in a head are stored. No number above it was ever
// streamed from this history: while a slot holds, every finished number has a row. termEnd also notes in the head up to
// which number the term is sure of its rows.
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
		// An acknowledged number was finished, even if its row is deleted by now.
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

// checkHistory is an error if the storage does not have a position of the journal's epoch. A secondary's claim proves
// no lost history: see Given.
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

// Given says that a secondary has shown a position with the mark of this cluster. If the storage does not have it, that
// history is gone: HistoryLost. A position of another epoch proves nothing.
func (h *history) Given(mode replication.Mode, at replication.Position) {
	j, cfg, err := h.journalOf(mode)
	if err != nil || at.Epoch != cfg.Epoch {
		return
	}
	if _, gone := j.kept.Has(at); gone {
		h.isLost(at)
	}
}

// noteBefore checks, when a term begins, whether the storage has the last position of this process: the storage may
// have been replaced while the process ran.
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

// noteReached remembers how far a journal came that ends.
func (h *history) noteReached(j *Journal) {
	h.reached = reached{term: j.Term()}
	if j.kept.Retains() {
		h.reached.sequence = j.Watermark()
	}
}

// isLost remembers the position that proves the loss.
func (h *history) isLost(at replication.Position) {
	if h.lost.Swap(true) {
		return
	}
	h.lostAt.Store(&at)
	h.tell()
}

// HistoryLost says that the storage went back in time, as this process or a secondary has shown. The primary then needs
// a new epoch. BeginHistory resets it.
func (h *history) HistoryLost() bool { return h.lost.Load() }

// HistoryWasLate says that the storage did not go back in time after all. The row of the position that proved it is
// stored, or was found late: a deposed leader wrote and sent it after another node had begun to lead. Storage without
// fencing cannot prevent that.
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
