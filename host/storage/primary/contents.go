// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// contents serves what a secondary gets: rows, ranges, and answers to its questions.
type contents struct {
	*current
	below   *backing.Storage
	filters *filters
	indexes Indexes
	asking  *asking

	frames int // bytes of a frame
	ranges int // bytes of a range

	reads    *walk.Walks    // walks of ReadRange
	listings *walk.Listings // of the comparisons of secondaries
}

// forgetListed drops the kept listings, because the storage may be another one from now on.
func (p *contents) forgetListed() {
	p.reads.Close()
	p.listings.Close()
}

// Position is the watermark of a mode's journal, with the fingerprint if known.
func (p *contents) Position(mode replication.Mode) (*replication.JournalPosition, error) {
	j, cfg, err := p.journalOf(mode)
	if err != nil {
		return nil, err
	}
	at := &replication.JournalPosition{Position: replication.Position{Epoch: cfg.Epoch, Term: j.Term(),
		Sequence: j.Watermark()}}
	if sums := p.indexes.Sums(mode); sums != nil {
		at.Fingerprint, at.Keys = sums.RootAt(at.Position.Sequence, j.seq.Allocated())
	}
	return at, nil
}
