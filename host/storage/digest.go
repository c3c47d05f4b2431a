// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sort"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
)

// digester sums up ranges of this cluster's content for a comparison: from the
// index where it has them, and from storage where it has not.
type digester struct {
	from   *backing
	hasher *fingerprint.Hasher
	index  *fingerprint.Index // nil if what is compared is not all that it has
	in     func(key string) bool
	dirs   *listing
	read   int // keys that were read, and questions for their names
}

// parts cuts a range at its keys of a level.
func (d *digester) parts(ctx context.Context, after, upTo string, level int) ([]journal.Part, error) {
	if d.index != nil && level >= fingerprint.CutLevel {
		if ranges, ok := d.index.Cut(after, upTo, level); ok {
			parts := make([]journal.Part, len(ranges))
			for i := range ranges {
				parts[i] = d.part(&ranges[i])
			}
			return parts, nil
		}
	}
	var parts []journal.Part
	var open fingerprint.Range
	err := d.each(ctx, after, upTo, func(key string, value []byte) {
		open.Sum.Add(d.hasher.Element(key, value))
		open.Count++
		if level == 0 || d.hasher.Level(key) >= level {
			open.UpTo = key
			parts = append(parts, d.part(&open))
			open = fingerprint.Range{}
		}
	})
	if err != nil {
		return nil, err
	}
	if last := len(parts) - 1; last >= 0 && parts[last].UpTo == upTo {
		return parts, nil
	}
	open.UpTo = upTo
	return append(parts, d.part(&open)), nil
}

// sums are those of this side for the parts of the other one.
func (d *digester) sums(ctx context.Context, ask journal.Ask, theirs []journal.Part) ([]journal.Part, error) {
	ours := make([]journal.Part, len(theirs))
	if ask.Level < fingerprint.CutLevel {
		return ours, d.sort(ctx, ask.After, ask.UpTo, theirs, ours)
	}
	after := ask.After
	for i := range theirs {
		r, ok := fingerprint.Range{}, false
		if d.index != nil {
			r, ok = d.index.Between(after, theirs[i].UpTo)
		}
		if ok {
			ours[i] = d.part(&r)
		} else if err := d.sort(ctx, after, theirs[i].UpTo, theirs[i:i+1], ours[i:i+1]); err != nil {
			return nil, err
		}
		after = theirs[i].UpTo
	}
	return ours, nil
}

// sort reads a range and sums it up by the parts that it has.
func (d *digester) sort(ctx context.Context, after, upTo string, theirs, ours []journal.Part) error {
	sums := make([]fingerprint.Range, len(theirs))
	err := d.each(ctx, after, upTo, func(key string, value []byte) {
		i := sort.Search(len(theirs)-1, func(i int) bool { return key <= theirs[i].UpTo })
		sums[i].Sum.Add(d.hasher.Element(key, value))
		sums[i].Count++
	})
	for i := range sums {
		sums[i].UpTo = theirs[i].UpTo
		ours[i] = d.part(&sums[i])
	}
	return err
}

// each reads the pairs of a range in key order.
func (d *digester) each(ctx context.Context, after, upTo string, do func(key string, value []byte)) error {
	w, err := newWalkBetween(ctx, d.dirs, after, upTo, &d.read)
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err // a caller that is gone must not leave the storage busy
		}
		keys, err := w.group(ctx, d.in, upTo)
		if err != nil || len(keys) == 0 {
			return err
		}
		values, err := d.from.readAt(physical.CacheRefreshContext(ctx, true), keys)
		if err != nil {
			return storageFailed("read keys to compare them", err)
		}
		d.read += len(keys)
		for i, v := range values {
			if v != nil {
				do(keys[i], v)
			}
		}
	}
}

func (d *digester) part(r *fingerprint.Range) journal.Part {
	return journal.Part{UpTo: r.UpTo, Count: r.Count, Digest: d.hasher.Part(r.Sum, r.Count)}
}
