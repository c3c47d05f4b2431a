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
	// walkIdle is how long a walk is kept for the call that goes on with it.
	walkIdle = 2 * time.Minute
	// walksMax bounds the walks that are kept for a mode.
	walksMax = 8
)

// Walk goes through the keys of a storage depth first, which is the byte order
// of the full keys: a name that is a directory ends with its slash, so it sorts
// where its keys do. It holds the listings of the directories it is in, and so
// does not see keys that are made in them later.
type Walk struct {
	inner  Lister
	levels []level
	back   []string // keys that were returned and given back, in order
	found  uint64   // keys that were accepted, those in back among them
}

type level struct {
	prefix string
	names  []string
	next   int
	size   size
}

// New begins after a key; the empty key is before all.
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

// sortNames is what a walk needs of a listing, in a copy.
func sortNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// next is the next key; ok is false after the last. Directories that have own
// keys only are left out.
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

// Below goes through the keys of one directory.
func Below(ctx context.Context, inner Lister, dir string) (*Walk, error) {
	w := &Walk{inner: inner}
	l, err := w.list(ctx, dir)
	if err != nil {
		return nil, err
	}
	w.levels = []level{l}
	return w, nil
}

// Group returns up to GroupSize keys that are accepted, none after the last one
// or after upTo (empty: no bound).
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

// Reader is who reads: the secondary of a slot, or this cluster itself.
type Reader struct {
	Mode replication.Mode
	Slot string
}

// Walks keep walks between calls, so that a directory is not listed anew for each range of
// it. A walk is found by where it stands. Each reader has its own: what another one has
// listed may be older than the rows that this one gets. The zero value is not usable.
type Walks struct{ cache[place, *Walk] }

type place struct {
	who   Reader
	after string
}

// NewWalks makes an empty one.
func NewWalks() *Walks { return &Walks{cache[place, *Walk]{idle: walkIdle, most: walksMax}} }

// Take returns the walk that stands after a key, a new one if there is none. It is the
// caller's alone until put back.
func (ws *Walks) Take(ctx context.Context, inner Lister, who Reader, after string) (*Walk, error) {
	if w, ok := ws.take(place{who, after}); ok {
		return w, nil
	}
	return New(ctx, inner, after)
}

// Put keeps a walk for the call that goes on after a key.
func (ws *Walks) Put(who Reader, after string, w *Walk) { ws.put(place{who, after}, w) }

// Close forgets all walks.
func (ws *Walks) Close() { ws.close() }
