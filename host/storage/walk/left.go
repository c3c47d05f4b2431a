// SPDX-License-Identifier: MPL-2.0

package walk

import "strings"

// size is what a walk knows of how much a directory has, without a question more to the storage.
type size struct {
	// before is what the walk had found when it came here.
	before uint64
	// through are the directories in it that the walk has gone through, found what it has found there.
	through, found uint64
	// toCome are the names from counted on, nil until Left counts them.
	toCome  *kinds
	counted int
}

// kinds are how many of some names are keys, and how many are directories that may have some.
type kinds struct{ keys, directories int }

// leave goes up from a directory whose last name was passed.
func (w *Walk) leave() {
	last := len(w.levels) - 1
	if last > 0 {
		above := &w.levels[last-1].size
		above.through++
		above.found += w.found - w.levels[last].size.before
	}
	w.levels = w.levels[:last]
}

// Left is about how many keys are still to come. Names that were listed are counted. A directory
// to come is taken to have as many keys as those beside it that the walk knows, and none if its
// name is not accepted: that of a mount which is left out. The outermost ones say nothing of each
// other: one has the mounts' content, another this cluster's own rows.
func (w *Walk) Left(accept func(name string) bool) uint64 {
	left := 0.0
	for i := len(w.levels) - 1; i >= 0; i-- {
		l := &w.levels[i]
		through, found := float64(l.size.through), float64(l.size.found)
		if i < len(w.levels)-1 { // the one that the walk is in, with what is left of it
			through++
			found += float64(w.found-w.levels[i+1].size.before) + left
		}
		toCome := l.toCome(accept)
		left += float64(toCome.keys)
		if through > 0 && l.prefix != "" {
			left += float64(toCome.directories) * found / through
		}
	}
	return uint64(left) + uint64(len(w.back))
}

// toCome counts the names from the next on. It looks at each one twice, however often it is called.
func (l *level) toCome(accept func(string) bool) kinds {
	s := &l.size
	if s.toCome == nil {
		s.toCome = new(kinds)
		*s.toCome = l.count(l.names[l.next:], accept)
	} else {
		passed := l.count(l.names[s.counted:l.next], accept)
		s.toCome.keys -= passed.keys
		s.toCome.directories -= passed.directories
	}
	s.counted = l.next
	return *s.toCome
}

func (l *level) count(names []string, accept func(string) bool) (k kinds) {
	for _, name := range names {
		switch {
		case !strings.HasSuffix(name, "/"):
			k.keys++
		case accept(l.prefix + name):
			k.directories++
		}
	}
	return k
}
