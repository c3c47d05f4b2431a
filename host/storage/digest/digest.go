// SPDX-License-Identifier: MPL-2.0

// Package digest sums up and reads ranges of a cluster's content, for the comparison of a secondary with its primary.
// Both sides use it, because their sums must agree.
//
// It only reads, and decides nothing: the secondary decides what to ask next, and the primary what a filter lets in.
package digest

import (
	"context"
	"sort"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/walk"
)

// Source reads the values of keys that a walk has found, nil for those that are gone.
type Source interface {
	ReadAll(ctx context.Context, keys []string) ([][]byte, error)
}

// Digester sums up ranges of this cluster's content for a comparison: from the index if it has them, otherwise from
// storage.
type Digester struct {
	From   Source
	Hasher *fingerprint.Hasher
	Index  *fingerprint.Index // nil if only a part of its content is compared
	In     func(key string) bool
	Dirs   *walk.Listing
	Read   int // keys that were read, and lists of names
}

// Parts cuts a range at its keys of a level.
func (d *Digester) Parts(ctx context.Context, after, upTo string, level int) ([]journal.Part, error) {
	if d.Index != nil && level >= fingerprint.CutLevel {
		if ranges, ok := d.Index.Cut(after, upTo, level); ok {
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
		open.Sum.Add(d.Hasher.Element(key, value))
		open.Count++
		if level == 0 || d.Hasher.Level(key) >= level {
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

// Sums are this side's sums for the parts of the other side.
func (d *Digester) Sums(ctx context.Context, ask journal.Ask, theirs []journal.Part) ([]journal.Part, error) {
	ours := make([]journal.Part, len(theirs))
	if ask.Level < fingerprint.CutLevel {
		return ours, d.sort(ctx, ask.After, ask.UpTo, theirs, ours)
	}
	after := ask.After
	for i := range theirs {
		r, ok := fingerprint.Range{}, false
		if d.Index != nil {
			r, ok = d.Index.Between(after, theirs[i].UpTo)
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

// sort reads a range and sums it up by the other side's parts.
func (d *Digester) sort(ctx context.Context, after, upTo string, theirs, ours []journal.Part) error {
	sums := make([]fingerprint.Range, len(theirs))
	err := d.each(ctx, after, upTo, func(key string, value []byte) {
		i := sort.Search(len(theirs)-1, func(i int) bool { return key <= theirs[i].UpTo })
		sums[i].Sum.Add(d.Hasher.Element(key, value))
		sums[i].Count++
	})
	for i := range sums {
		sums[i].UpTo = theirs[i].UpTo
		ours[i] = d.part(&sums[i])
	}
	return err
}

// each reads the pairs of a range in key order.
func (d *Digester) each(ctx context.Context, after, upTo string, do func(key string, value []byte)) error {
	w, err := walk.Between(ctx, d.Dirs, after, upTo, &d.Read)
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err // the storage must not be kept busy after the caller has left
		}
		keys, err := w.Group(ctx, d.In, upTo)
		if err != nil || len(keys) == 0 {
			return err
		}
		values, err := d.From.ReadAll(physical.CacheRefreshContext(ctx, true), keys)
		if err != nil {
			return failure.Storage("read keys to compare them", err)
		}
		d.Read += len(keys)
		for i, v := range values {
			if v != nil {
				do(keys[i], v)
			}
		}
	}
}

func (d *Digester) part(r *fingerprint.Range) journal.Part {
	return journal.Part{UpTo: r.UpTo, Count: r.Count, Digest: d.Hasher.Part(r.Sum, r.Count)}
}

// Pairs reads a range up to about a size, at least one pair.
func (d *Digester) Pairs(ctx context.Context, ask journal.Ask, most int) (pairs []journal.Pair, cut bool, err error) {
	w, err := walk.Between(ctx, d.Dirs, ask.After, ask.UpTo, &d.Read)
	if err != nil {
		return nil, false, err
	}
	for size := 0; ; {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		keys, err := w.Group(ctx, d.In, ask.UpTo)
		if err != nil || len(keys) == 0 {
			return pairs, false, err
		}
		values, err := d.From.ReadAll(ctx, keys)
		if err != nil {
			return nil, false, failure.Storage("read a range of keys", err)
		}
		d.Read += len(keys)
		for i, v := range values {
			if v == nil {
				continue
			}
			n := len(keys[i]) + len(v)
			if size > 0 && size+n > most {
				return pairs, true, nil
			}
			pairs = append(pairs, journal.Pair{Key: keys[i], Value: v})
			size += n
		}
	}
}
