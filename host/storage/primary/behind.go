// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"slices"

	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Behind calls tell for each write in the rows that a secondary has not acknowledged. It reads only rows in memory, up
// to about the given size. all says that there are no others.
func (p *contents) Behind(ctx context.Context, mode replication.Mode, slotID string, bytes int,
	tell func(key string)) (all bool, err error) {
	j, _, err := p.journalOf(mode)
	if err != nil {
		return false, err
	}
	slots := j.kept.Slots(mode)
	i := slices.IndexFunc(slots, func(s retention.Status) bool { return s.ID == slotID })
	if i < 0 {
		return false, replication.Errorf(replication.NotFound, "there is no slot %q", slotID)
	}
	err = p.filters.with(ctx, mode, slotID, func(allow allowed) error {
		r := &reader{of: p, mode: mode, allow: allow}
		rows, to, whole := j.seq.Rows(slots[i].Acknowledged, bytes)
		if !whole {
			rows, to, _ = j.seq.Rows(j.seq.Floor(), bytes)
		}
		for _, row := range rows {
			for _, op := range r.relevant(row.Ops) {
				tell(op.Key)
			}
		}
		all = whole && to >= j.Watermark()
		return nil
	})
	return all, err
}
