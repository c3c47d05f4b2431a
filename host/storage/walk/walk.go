// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"context"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// GroupSize is how many keys are read at once.
	GroupSize = 64
	// walkIdle is how long a walk is kept for the call that continues it.
	walkIdle = 2 * time.Minute
	// walksMax bounds the walks that are kept for a mode.
	walksMax = 8
)

// Walk walks through the keys of a storage depth first. This is the byte order of the full keys, because the name of a
// directory ends with its slash and sorts where its keys do. It keeps the listings of the directories that it is in, so
// it does not see keys that are created there later.
type Walk struct {
	inner  Lister
	levels []level
	back   []string // returned keys that the caller gave back, in order
	found  uint64   // keys that were accepted, those in back among them
}

type level struct {
	prefix string
	names  []string
	next   int
	size   size
}

// New begins a walk after a key; the empty key is before all others.
func New(ctx context.Context, inner Lister, after string) (*Walk, error) {
	w := &Walk{inner: inner}
	prefix, rest := "", after
	for {
		l, err := w.list(ctx, prefix)
		if err != nil {
			return nil, err
		}
		name, below, nested := strings.Cut(rest, "/")
		if !nested {
			l.next = sort.Search(len(l.names), func(i int) bool { return l.names[i] > rest })
			w.levels = append(w.levels, l)
			return w, nil
		}
		dir := name + "/"
		l.next = sort.SearchStrings(l.names, dir)
		enter := l.next < len(l.names) && l.names[l.next] == dir && !keyclass.OwnDirectory(prefix+dir)
		if enter {
			l.next++
		}
		w.levels = append(w.levels, l)
		if !enter {
			return w, nil
		}
		prefix, rest = prefix+dir, below
	}
}

func (w *Walk) list(ctx context.Context, prefix string) (level, error) {
	names, err := w.inner.List(ctx, prefix)
	if err != nil {
		return level{}, failure.Storage("list "+prefix, err)
	}
	if _, sorted := w.inner.(inOrder); !sorted {
		names = sortNames(names)
	}
	return level{prefix: prefix, names: names, size: size{before: w.found}}, nil
}

// sortNames is a copy of a listing, sorted and without duplicates.
func sortNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// next is the next key; ok is false after the last. It skips directories that have only own keys.
func (w *Walk) next(ctx context.Context) (key string, ok bool, err error) {
	if len(w.back) > 0 {
		key, w.back = w.back[0], w.back[1:]
		return key, true, nil
	}
	for len(w.levels) > 0 {
		l := &w.levels[len(w.levels)-1]
		if l.next >= len(l.names) {
			w.leave()
			continue
		}
		full := l.prefix + l.names[l.next]
		if !strings.HasSuffix(l.names[l.next], "/") {
			l.next++
			return full, true, nil
		}
		if !keyclass.OwnDirectory(full) {
			below, err := w.list(ctx, full)
			if err != nil {
				return "", false, err
			}
			l.next++
			w.levels = append(w.levels, below)
			continue
		}
		l.next++
	}
	return "", false, nil
}

// Below walks through the keys of one directory.
func Below(ctx context.Context, inner Lister, dir string) (*Walk, error) {
	w := &Walk{inner: inner}
	l, err := w.list(ctx, dir)
	if err != nil {
		return nil, err
	}
	w.levels = []level{l}
	return w, nil
}

// Group returns the next accepted keys, up to GroupSize of them and up to the key upTo (empty: no bound). It returns
// none at the end.
func (w *Walk) Group(ctx context.Context, accept func(key string) bool, upTo string) ([]string, error) {
	var keys []string
	for len(keys) < GroupSize {
		again := len(w.back) > 0
		key, ok, err := w.next(ctx)
		if err != nil {
			w.Unread(keys)
			return nil, err
		}
		if !ok {
			break
		}
		if upTo != "" && key > upTo {
			w.Unread([]string{key})
			break
		}
		if accept(key) {
			keys = append(keys, key)
			if !again {
				w.found++
			}
		}
	}
	return keys, nil
}

// Unread gives keys back, the last that were returned.
func (w *Walk) Unread(keys []string) {
	w.back = append(slices.Clone(keys), w.back...)
}

// Reader identifies a reader: the secondary of a slot, or this cluster itself.
type Reader struct {
	Mode replication.Mode
	Slot string
}

// Walks keeps walks between calls, so that a directory is not listed anew for each of its ranges. A walk is found by
// its reader and the key that it has come to. Readers do not share walks, because the listing of another reader may be
// older than the rows that this one gets. The zero value is not usable.
type Walks struct{ cache[place, *Walk] }

type place struct {
	who   Reader
	after string
}

// NewWalks makes an empty set of walks.
func NewWalks() *Walks { return &Walks{cache[place, *Walk]{idle: walkIdle, most: walksMax}} }

// Take returns the walk that has come to a key, or a new one. The walk is the caller's alone until Put.
func (ws *Walks) Take(ctx context.Context, inner Lister, who Reader, after string) (*Walk, error) {
	if w, ok := ws.take(place{who, after}); ok {
		return w, nil
	}
	return New(ctx, inner, after)
}

// Put keeps a walk for the call that continues after a key.
func (ws *Walks) Put(who Reader, after string, w *Walk) { ws.put(place{who, after}, w) }

// Close forgets all walks.
func (ws *Walks) Close() { ws.close() }
