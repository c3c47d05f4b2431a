// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// RangeTarget is the size at which a range is cut, in bytes. A range is larger than a frame: no client waits for it,
// and the secondary stores the transactions of a range together and its cursor once.
const RangeTarget = 4 * replication.PayloadTarget

// ReadRange reads the keys of a mode after a given key, in order, with their present values, up to about
// Options.RangeBytes; see [replication.Host]. It leaves out keys that the slot's filter does not let in.
func (p *contents) ReadRange(ctx context.Context, mode replication.Mode, slotID, after string) (rng *replication.Range,
	err error) {
	err = p.filters.with(ctx, mode, slotID, func(allow allowed) error {
		rng, err = p.readRange(ctx, mode, slotID, allow, after)
		return err
	})
	return rng, err
}

func (p *contents) readRange(ctx context.Context, mode replication.Mode, slotID string, allow allowed,
	after string) (*replication.Range, error) {
	j, _, err := p.journalOf(mode)
	if err != nil {
		return nil, err
	}
	may := func(key string) bool { return p.below.Classes().Replicated(mode, key) && allow.lets(key) }
	w, err := p.reads.Take(ctx, p.below.Inner, walk.Reader{Mode: mode, Slot: slotID}, after)
	if err != nil {
		return nil, err
	}
	var pairs []journal.Pair
	rng := &replication.Range{After: after, UpTo: after}
	for size := 0; size < p.ranges; {
		keys, err := w.Group(ctx, may, "")
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			rng.Last, rng.UpTo = true, ""
			break
		}
		values, err := p.below.ReadAll(ctx, keys)
		if err != nil {
			return nil, failure.Storage("read a range of keys", err)
		}
		used := 0
		for i, v := range values {
			n := len(keys[i]) + len(v)
			if size > 0 && size+n > p.ranges {
				size = p.ranges
				break
			}
			used, rng.UpTo = i+1, keys[i]
			if v != nil {
				pairs = append(pairs, journal.Pair{Key: keys[i], Value: v})
				size += n
			}
		}
		w.Unread(keys[used:])
	}
	if j.ctx.Err() != nil {
		return nil, failure.Ended
	}
	rng.AsOf = j.seq.Allocated()
	rng.Keys = uint64(len(pairs))
	rng.Payload = journal.EncodeRange(pairs)
	if !rng.Last {
		rng.Left = p.left(mode, allow == nil, w, rng.UpTo, may)
		p.reads.Put(walk.Reader{Mode: mode, Slot: slotID}, rng.UpTo, w)
	}
	return rng, nil
}

// left is about how many keys a secondary gets after one that a walk stands at: at least one, since zero says
// that it is not known. The index knows it, if the secondary gets all that it counts. Else the walk has an estimate.
func (p *contents) left(mode replication.Mode, all bool, w *walk.Walk, after string, may func(string) bool) uint64 {
	if sums := p.indexes.Sums(mode); sums != nil && all {
		if keys, ok := sums.After(after); ok {
			return max(1, keys)
		}
	}
	return max(1, w.Left(may))
}
