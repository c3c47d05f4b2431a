// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
)

const (
	// listingMax bounds the names that are kept for one comparison. Beyond it, directories are listed anew each time.
	listingMax = 2_000_000
	// listingIdle is how long the names are kept for the next question.
	listingIdle = time.Minute
)

// Lister lists a directory; storage is one.
type Lister interface {
	List(ctx context.Context, prefix string) ([]string, error)
}

// Storage is the storage whose keys are listed.
type Storage interface {
	Lister
	Get(ctx context.Context, key string) (*physical.Entry, error)
}

// inOrder is a Lister whose names are in order, each once.
type inOrder interface{ ordered() }

// Listing remembers the names in directories, because a comparison lists the same ones again and again, and large ones
// take long. It lacks keys that are created later; that does no harm if later writes are streamed. Safe for concurrent
// use.
type Listing struct {
	inner Storage
	// anyPrefix says that the storage lists by any prefix, not directories alone.
	anyPrefix bool

	mu    sync.Mutex
	dirs  map[string][]string // by prefix
	parts map[string]int      // names that were listed of a part of a directory
	names int
}

// NewListing makes an empty listing.
func NewListing(inner Storage, anyPrefix bool) *Listing {
	return &Listing{inner: inner, anyPrefix: anyPrefix, dirs: map[string][]string{}, parts: map[string]int{}}
}

func (*Listing) ordered() {}

// List implements Lister. The names are in order, and must not be changed.
func (l *Listing) List(ctx context.Context, prefix string) ([]string, error) {
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

// Listings are the listings of the comparisons that are under way, by reader.
type Listings struct {
	mu sync.Mutex // serialises Of
	cache[comparison, *Listing]
}

type comparison struct {
	who  Reader
	from uint64
}

// NewListings makes an empty set of listings.
func NewListings() *Listings {
	return &Listings{cache: cache[comparison, *Listing]{idle: listingIdle}}
}

// Of is the listing of the comparison of a reader that began at a sequence; it is made if there is none. Listings of
// other comparisons of the same reader are dropped.
func (ls *Listings) Of(who Reader, from uint64, inner Storage, anyPrefix bool) *Listing {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	k := comparison{who, from}
	l, ok := ls.take(k)
	if !ok {
		ls.forget(func(other comparison) bool { return other.who == who })
		l = NewListing(inner, anyPrefix)
	}
	ls.put(k, l)
	return l
}

// Close forgets all listings.
func (ls *Listings) Close() { ls.close() }
