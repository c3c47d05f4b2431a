// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// walkGroup is how many keys are read at once.
	walkGroup = 64
	// walkIdle is how long a walk is kept for the call that goes on with it.
	walkIdle = 2 * time.Minute
	// walksMax bounds the walks that are kept for a mode.
	walksMax = 8
)

// walk goes through the keys of a storage depth first, which is the byte order
// of the full keys: a name that is a directory ends with its slash, so it sorts
// where its keys do. It holds the listings of the directories it is in, and so
// does not see keys that are made in them later.
type walk struct {
	inner  lister
	levels []level
	back   []string // keys that were returned and given back, in order
}

type level struct {
	prefix string
	names  []string
	next   int
}

// newWalk begins after a key; the empty key is before all.
func newWalk(ctx context.Context, inner lister, after string) (*walk, error) {
	w := &walk{inner: inner}
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

func (w *walk) list(ctx context.Context, prefix string) (level, error) {
	names, err := w.inner.List(ctx, prefix)
	if err != nil {
		return level{}, storageFailed("list "+prefix, err)
	}
	if _, sorted := w.inner.(inOrder); !sorted {
		names = sortNames(names)
	}
	return level{prefix: prefix, names: names}, nil
}

// sortNames is what a walk needs of a listing, in a copy.
func sortNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// next is the next key; ok is false after the last. Directories that have own
// keys only are left out.
func (w *walk) next(ctx context.Context) (key string, ok bool, err error) {
	if len(w.back) > 0 {
		key, w.back = w.back[0], w.back[1:]
		return key, true, nil
	}
	for len(w.levels) > 0 {
		l := &w.levels[len(w.levels)-1]
		if l.next >= len(l.names) {
			w.levels = w.levels[:len(w.levels)-1]
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

// newWalkBelow goes through the keys of one directory.
func newWalkBelow(ctx context.Context, inner lister, dir string) (*walk, error) {
	w := &walk{inner: inner}
	l, err := w.list(ctx, dir)
	if err != nil {
		return nil, err
	}
	w.levels = []level{l}
	return w, nil
}

// group returns up to walkGroup keys that are accepted, none after the last one
// or after upTo (empty: no bound).
func (w *walk) group(ctx context.Context, accept func(key string) bool, upTo string) ([]string, error) {
	var keys []string
	for len(keys) < walkGroup {
		key, ok, err := w.next(ctx)
		if err != nil {
			w.unread(keys)
			return nil, err
		}
		if !ok {
			break
		}
		if upTo != "" && key > upTo {
			w.unread([]string{key})
			break
		}
		if accept(key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// unread gives keys back, the last that were returned.
func (w *walk) unread(keys []string) {
	w.back = append(slices.Clone(keys), w.back...)
}

// walkers keep walks between calls, so that a directory is not listed anew for
// each range of it. A walk is found by where it stands.
type walkers struct {
	mu   sync.Mutex
	kept map[walkKey]*keptWalk
}

// Each slot has its own: what another one has listed may be older than the rows that
// this one's secondary gets.
type walkKey struct {
	mode        replication.Mode
	slot, after string
}

type keptWalk struct {
	walk  *walk
	timer *time.Timer
	since time.Time
}

func newWalkers() *walkers { return &walkers{kept: map[walkKey]*keptWalk{}} }

// take returns the walk that stands after a key, a new one if there is none. It
// is the caller's alone until put back.
func (ws *walkers) take(ctx context.Context, inner physical.Backend, mode replication.Mode, slot, after string) (*walk, error) {
	k := walkKey{mode, slot, after}
	ws.mu.Lock()
	kept := ws.kept[k]
	delete(ws.kept, k)
	ws.mu.Unlock()
	if kept != nil {
		kept.timer.Stop()
		return kept.walk, nil
	}
	return newWalk(ctx, inner, after)
}

// put keeps a walk for the call that goes on after a key.
func (ws *walkers) put(mode replication.Mode, slot, after string, w *walk) {
	k := walkKey{mode, slot, after}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.kept) >= walksMax {
		var oldest walkKey
		for o, kept := range ws.kept {
			if first := ws.kept[oldest]; first == nil || kept.since.Before(first.since) {
				oldest = o
			}
		}
		ws.kept[oldest].timer.Stop()
		delete(ws.kept, oldest)
	}
	if old := ws.kept[k]; old != nil {
		old.timer.Stop()
	}
	kept := &keptWalk{walk: w, since: time.Now()}
	kept.timer = time.AfterFunc(walkIdle, func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if ws.kept[k] == kept {
			delete(ws.kept, k)
		}
	})
	ws.kept[k] = kept
}

func (ws *walkers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for k, kept := range ws.kept {
		kept.timer.Stop()
		delete(ws.kept, k)
	}
}
