// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"context"
	"errors"
	"slices"
	"strings"
)

const (
	// betweenBytes is up to how many neighbouring bytes are listed one by one at the place where two keys of a directory
	// differ.
	betweenBytes = 16
	// betweenNames is how many names of a directory are listed in parts before the directory is listed as a whole, which
	// is cheaper then.
	betweenNames = 200_000
	// betweenCalls is how many calls to the storage one directory may take before it is listed as a whole. Names of a
	// UUID's length take some nine thousand at worst, but the other side may give bounds of any length.
	betweenCalls = 20_000
	// betweenLength bounds the names that are looked at byte by byte.
	betweenLength = 256
)

// errCostly says that a directory is better listed as a whole.
var errCostly = errors.New("too many questions for one directory")

// between lists, for a walk, only names that may be after one key and up to another (empty: no bound). A comparison
// needs a few hundred of a directory's million names. Storage that lists by any prefix then reads no others.
type between struct {
	*Listing
	after, upTo string
	// spent counts the calls to the storage, for a caller that bounds them.
	spent *int
}

// Between walks through the keys after one and up to another. Beyond the last of these the walk is not complete. Its
// calls to the storage are added to spent.
func Between(ctx context.Context, l *Listing, after, upTo string, spent *int) (*Walk, error) {
	return New(ctx, &between{l, after, upTo, spent}, after)
}

// List implements Lister. A directory that has a bound is always in the list, even if it does not exist.
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

// nameOf is the length of the first name in a bound.
func nameOf(bound string) int {
	name, _, _ := strings.Cut(bound, "/")
	return len(name)
}

// part is a listing of a part of one directory.
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

// list lists the names that begin with a prefix. The bounds apply to the rest of the name after the prefix. Without a
// bound this is one call to the storage; with one, each possible next byte is listed separately.
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
	// Both bounds are keys of this directory and near each other, so few names begin as both do.
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

// all lists the names that begin with a prefix; exact includes the name that is the prefix itself.
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

// directory adds the name of a directory unless the directory is empty.
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

// key adds the name of a key if the key exists.
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

// whole says whether a directory was listed as a whole, or should be.
func (l *Listing) whole(dir string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.dirs[dir]
	return known || l.parts[dir] > betweenNames
}

// listed adds up how many names of a directory were listed in parts.
func (l *Listing) listed(dir string, names int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[dir] += names
}
