// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"context"
	"errors"
	"slices"
	"strings"
)

const (
	// betweenBytes is how many neighbouring bytes are listed one by one where two keys
	// of a directory part.
	betweenBytes = 16
	// betweenNames is how many names of a directory are listed in parts before all of it
	// is: it is cheaper then.
	betweenNames = 200_000
	// betweenCalls is how many questions to the storage one directory takes at most before
	// all of it is listed: names of a UUID's length take some nine thousand at the worst,
	// and bounds that the other side names may be of any length.
	betweenCalls = 20_000
	// betweenLength bounds the names that are looked at byte by byte.
	betweenLength = 256
)

// errCostly says that a directory is better listed as a whole.
var errCostly = errors.New("too many questions for one directory")

// between lists what may be after one key and up to another (empty: no bound), for a
// walk. Storage that lists what begins with any prefix reads no more than that: of a
// directory of a million names, and of all above it, a comparison needs a few hundred.
type between struct {
	*Listing
	after, upTo string
	// spent counts the questions to the storage, for who bounds them.
	spent *int
}

// Between goes through the keys after one and up to another; what it returns
// later is not complete. Its questions to the storage are added to spent.
func Between(ctx context.Context, l *Listing, after, upTo string, spent *int) (*Walk, error) {
	return New(ctx, &between{l, after, upTo, spent}, after)
}

// List implements Lister. Directories that a bound is in are there whether or not they
// exist.
func (b *between) List(ctx context.Context, dir string) ([]string, error) {
	lower, cutBelow := strings.CutPrefix(b.after, dir)
	upper, cutAbove := strings.CutPrefix(b.upTo, dir)
	cutBelow, cutAbove = cutBelow && lower != "", cutAbove && upper != ""
	switch {
	case !b.anyPrefix, !cutBelow && !cutAbove, cutBelow && cutAbove && lower >= upper,
		cutBelow && nameOf(lower) > betweenLength, cutAbove && nameOf(upper) > betweenLength, b.whole(dir):
		return b.Listing.List(ctx, dir)
	}
	p := &part{between: b, dir: dir}
	var lo, hi *string
	if cutBelow {
		lo = &lower
	}
	if cutAbove {
		hi = &upper
	}
	err := p.list(ctx, dir, lo, hi)
	b.listed(dir, p.calls+p.found)
	*b.spent += p.calls
	switch {
	case errors.Is(err, errCostly):
		return b.Listing.List(ctx, dir)
	case err != nil:
		return nil, err
	}
	slices.Sort(p.names)
	return slices.Compact(p.names), nil
}

// nameOf is how long the name is that a bound begins with.
func nameOf(bound string) int {
	name, _, _ := strings.Cut(bound, "/")
	return len(name)
}

// part is what is listed of one directory.
type part struct {
	*between
	dir   string
	names []string
	// calls to the storage, and names that they have listed.
	calls, found int
}

// ask counts a call to the storage.
func (p *part) ask() error {
	if p.calls++; p.calls > betweenCalls {
		return errCostly
	}
	return nil
}

// list lists what begins with a prefix, between two bounds of what follows the prefix.
// Without a bound that is one question to the storage; where there is one, each byte that
// may follow is looked at by itself.
func (p *part) list(ctx context.Context, prefix string, lower, upper *string) error {
	exact := lower == nil
	if upper != nil && *upper == "" {
		if exact {
			return p.key(ctx, prefix)
		}
		return nil
	}
	if upper == nil && (lower == nil || *lower == "") {
		return p.all(ctx, prefix, exact)
	}
	from, to := 0, 255
	if lower != nil && *lower != "" {
		from = int((*lower)[0])
	}
	if upper != nil {
		to = int((*upper)[0])
	}
	// Keys of this directory that stand close: what begins as they do is little.
	leaf := lower != nil && upper != nil && from != to && !strings.Contains(*lower+*upper, "/")
	if leaf && (*lower == "" || to-from >= betweenBytes) {
		return p.all(ctx, prefix, exact)
	}
	if exact && prefix != p.dir {
		if err := p.key(ctx, prefix); err != nil {
			return err
		}
	}
	for c := from; c <= to; c++ {
		next := prefix + string([]byte{byte(c)})
		var lo, hi *string
		if lower != nil && *lower != "" && c == from {
			rest := (*lower)[1:]
			lo = &rest
		}
		if upper != nil && c == to {
			rest := (*upper)[1:]
			hi = &rest
		}
		var err error
		switch {
		case c == '/' && (lo != nil || hi != nil):
			p.names = append(p.names, next[len(p.dir):])
		case c == '/':
			err = p.directory(ctx, next)
		case leaf:
			err = p.all(ctx, next, true)
		default:
			err = p.list(ctx, next, lo, hi)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// all lists what begins with a prefix, with what is exactly that or without.
func (p *part) all(ctx context.Context, prefix string, exact bool) error {
	if err := p.ask(); err != nil {
		return err
	}
	names, err := p.Listing.List(ctx, prefix)
	if err != nil {
		return err
	}
	p.found += len(names)
	begin := prefix[len(p.dir):]
	for _, name := range names {
		if name != "" || exact {
			p.names = append(p.names, begin+name)
		}
	}
	return nil
}

// directory has the name of a directory if there is anything in it.
func (p *part) directory(ctx context.Context, dir string) error {
	if err := p.ask(); err != nil {
		return err
	}
	names, err := p.Listing.List(ctx, dir)
	if err == nil && len(names) > 0 {
		p.names = append(p.names, dir[len(p.dir):])
	}
	return err
}

// key has the name of a key if it exists.
func (p *part) key(ctx context.Context, key string) error {
	if err := p.ask(); err != nil {
		return err
	}
	e, err := p.inner.Get(ctx, key)
	if err == nil && e != nil {
		p.names = append(p.names, key[len(p.dir):])
	}
	return err
}

// whole says whether a directory is known as a whole, or should be.
func (l *Listing) whole(dir string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.dirs[dir]
	return known || l.parts[dir] > betweenNames
}

// listed adds up what was listed of a directory in parts.
func (l *Listing) listed(dir string, names int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[dir] += names
}
