// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"strings"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// rangeTarget is the size at which a range is cut, in bytes. A range is larger
// than a frame: nobody waits for it to arrive, and the secondary makes a range's
// transactions durable together and then records once how far it has come.
const rangeTarget = 4 * replication.PayloadTarget

// ReadRange reads the keys of a mode after one, in order, with their values of
// now, up to about Options.RangeBytes, for the secondary of a slot; see
// [replication.Host]. It has what the slot's filter allows.
func (p *primary) ReadRange(ctx context.Context, mode replication.Mode, slotID, after string) (rng *replication.Range, err error) {
	err = p.filters.with(mode, slotID, func(allow allowed) error {
		rng, err = p.readRange(ctx, mode, slotID, allow, after)
		return err
	})
	return rng, err
}

func (p *primary) readRange(ctx context.Context, mode replication.Mode, slotID string, allow allowed, after string) (*replication.Range, error) {
	j, _, err := p.regime.Load().modeOf(mode)
	if err != nil {
		return nil, err
	}
	may := func(key string) bool { return p.classes.Replicated(mode, key) && allow.lets(key) }
	w, err := p.reads.take(ctx, p.inner, mode, slotID, after)
	if err != nil {
		return nil, err
	}
	var pairs []journal.Pair
	rng := &replication.Range{After: after, UpTo: after}
	for size := 0; size < p.ranges; {
		keys, err := w.group(ctx, may, "")
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			rng.Last, rng.UpTo = true, ""
			break
		}
		values, err := p.readAt(ctx, keys)
		if err != nil {
			return nil, storageFailed("read a range of keys", err)
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
		w.unread(keys[used:])
	}
	if j.ctx.Err() != nil {
		return nil, errEnded
	}
	rng.AsOf = j.seq.Allocated()
	rng.Keys = uint64(len(pairs))
	rng.Payload = journal.EncodeRange(pairs)
	if !rng.Last {
		p.reads.put(mode, slotID, rng.UpTo, w)
	}
	return rng, nil
}

// readAt reads the values of keys that a walk has found. File storage writes a
// value into a file beside its own, whose name has digits added, and renames it:
// a listing may have that name, and a read find it. So where storage has no
// transactions a key that ends with digits is read while nobody writes a key
// that it may stand for.
func (b *backing) readAt(ctx context.Context, keys []string) ([][]byte, error) {
	if b.txn != nil {
		return b.getAll(ctx, keys)
	}
	values, err := b.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		bases := basesOf(key)
		if len(bases) == 0 || values[i] == nil {
			continue
		}
		locks, err := b.stripes.lock(ctx, bases...)
		if err != nil {
			return nil, err
		}
		one, err := b.getAll(ctx, keys[i:i+1])
		b.stripes.unlock(locks)
		if err != nil {
			return nil, err
		}
		values[i] = one[0]
	}
	return values, nil
}

// tempDigits is the most digits that a temporary file's name has more.
const tempDigits = 10

// basesOf are the keys that a key may be a temporary file of.
func basesOf(key string) []string {
	var bases []string
	name := strings.LastIndexByte(key, '/') + 1
	for n := len(key); n > name+1 && len(bases) < tempDigits && key[n-1] >= '0' && key[n-1] <= '9'; n-- {
		bases = append(bases, key[:n-1])
	}
	return bases
}
