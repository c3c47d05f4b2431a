// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// listingMax bounds the names that are kept for one comparison. Above it
	// directories are listed anew each time.
	listingMax = 2_000_000
	// listingIdle is how long they are kept for the next question.
	listingIdle = time.Minute
)

// lister lists a directory; storage is one.
type lister interface {
	List(ctx context.Context, prefix string) ([]string, error)
}

// inOrder is a lister whose names are in order, each once.
type inOrder interface{ ordered() }

// listing remembers what directories had: to list one takes as long as it is large,
// and a comparison looks into the same ones again and again. What is created later
// is not in it, which does no harm where later writes are streamed. Safe for
// concurrent use.
type listing struct {
	inner physical.Backend
	// anyPrefix says that the storage lists what begins with any prefix.
	anyPrefix bool

	mu    sync.Mutex
	dirs  map[string][]string // by prefix
	parts map[string]int      // names that were listed of a part of a directory
	names int
	timer *time.Timer
}

func newListing(inner physical.Backend, anyPrefix bool) *listing {
	return &listing{inner: inner, anyPrefix: anyPrefix, dirs: map[string][]string{}, parts: map[string]int{}}
}

func (*listing) ordered() {}

// List implements lister. The names are in order, and must not be changed.
func (l *listing) List(ctx context.Context, prefix string) ([]string, error) {
	l.mu.Lock()
	names, ok := l.dirs[prefix]
	l.mu.Unlock()
	if ok {
		return names, nil
	}
	names, err := l.inner.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	names = sortNames(names)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.dirs[prefix]; !ok && len(names) > 0 && l.names+len(names) <= listingMax {
		l.dirs[prefix] = names
		l.names += len(names)
	}
	return names, nil
}

// listings are those of the comparisons that are under way, by who compares.
type listings struct {
	mu   sync.Mutex
	kept map[listingKey]*listing
}

type listingKey struct {
	who  listingOf
	from uint64
}

type listingOf struct {
	mode replication.Mode
	slot string
}

// of is the listing of a comparison, made if there is none. The others of the same
// secondary are forgotten.
func (ls *listings) of(k listingKey, inner physical.Backend, anyPrefix bool) *listing {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.kept[k]
	if l == nil {
		for other, old := range ls.kept {
			if other.who == k.who {
				old.timer.Stop()
				delete(ls.kept, other)
			}
		}
		l = newListing(inner, anyPrefix)
		l.timer = time.AfterFunc(listingIdle, func() { ls.drop(k, l) })
		if ls.kept == nil {
			ls.kept = map[listingKey]*listing{}
		}
		ls.kept[k] = l
	}
	l.timer.Reset(listingIdle)
	return l
}

func (ls *listings) drop(k listingKey, l *listing) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.kept[k] == l {
		delete(ls.kept, k)
	}
}

func (ls *listings) close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for k, l := range ls.kept {
		l.timer.Stop()
		delete(ls.kept, k)
	}
}
