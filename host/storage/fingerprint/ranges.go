// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"slices"
	"sort"
)

// CutLevel is the level of the keys that end a range of an [Index]: one key in
// 2^CutLevel does.
const CutLevel = 8

// Range is a run of the key space: from after the former range up to and including UpTo.
type Range struct {
	// UpTo is empty when the range has no upper bound.
	UpTo string
	// Sum is the sum of its pairs, Count their number.
	Sum   Sum
	Count uint64
	// level is the level of UpTo.
	level uint8
}

func (r *Range) add(o *Range) {
	r.Sum.Add(o.Sum)
	r.Count += o.Count
}

// change is what a write changes in the sum of its key's range.
type change struct {
	key           string
	before, after *Sum // nil: the key did not exist, does not exist
}

func (r *Range) apply(c change) {
	if c.before != nil {
		r.Sum.Sub(*c.before)
		r.Count--
	}
	if c.after != nil {
		r.Sum.Add(*c.after)
		r.Count++
	}
}

// ranges are in key order, without gaps, and never empty. The last one has no upper bound, or that of the part that
// they cover.
type ranges []Range

// at is the place of the range that has a key.
func (rs ranges) at(key string) int {
	return sort.Search(len(rs)-1, func(i int) bool { return key <= rs[i].UpTo })
}

// apply changes one range. A range whose last key is deleted becomes part of the next one, so that two sets with the
// same keys have the same ranges. It returns the place of such a range, otherwise -1.
func (rs *ranges) apply(c change) (gone int) {
	i := rs.at(c.key)
	r := &(*rs)[i]
	r.apply(c)
	if c.after == nil && i < len(*rs)-1 && r.UpTo == c.key {
		(*rs)[i+1].add(r)
		*rs = slices.Delete(*rs, i, i+1)
		return i
	}
	return -1
}

// after is the place of the range that begins after a key, false if none does.
func (rs ranges) after(key string) (int, bool) {
	if key == "" {
		return 0, true
	}
	i := rs.at(key)
	return i + 1, i < len(rs)-1 && rs[i].UpTo == key
}

// between are the places [from, to) of the ranges that cover exactly the keys after one key up to another. An empty
// after is the beginning, an empty upTo the end. ok is false if no ranges fit.
func (rs ranges) between(after, upTo string) (from, to int, ok bool) {
	if from, ok = rs.after(after); !ok || len(rs) == 0 {
		return 0, 0, false
	}
	if upTo == "" {
		return from, len(rs), rs[len(rs)-1].UpTo == ""
	}
	to, ok = rs.after(upTo)
	return from, to, ok && to > from
}

func (rs ranges) sum() Range {
	var all Range
	for i := range rs {
		all.add(&rs[i])
	}
	if len(rs) > 0 {
		all.UpTo, all.level = rs[len(rs)-1].UpTo, rs[len(rs)-1].level
	}
	return all
}
