// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A storage may take several keys for one: file storage joins them as paths, a file system may fold letters, and a
// library in C ends a text at NUL. So a key may reach the row of another key. This file says which.

// Canonical is the shortest spelling of a key, for storage that takes keys for paths.
func Canonical(key string) string {
	if !cleans(key) {
		return key
	}
	clean := path.Clean("/" + key)
	return clean[1:]
}

// CanonicalPrefix is the shortest spelling of a prefix, which keeps its slash at the end.
func CanonicalPrefix(prefix string) string {
	clean := Canonical(prefix)
	if clean != "" && strings.HasSuffix(prefix, "/") {
		clean += "/"
	}
	return clean
}

// cleans says whether a path may have a shorter spelling.
func cleans(key string) bool {
	return strings.HasPrefix(key, "/") || strings.HasSuffix(key, "/") || strings.Contains(key, "//") ||
		strings.HasPrefix(key, ".") || strings.Contains(key, "/.")
}

// Climbs says whether a key has a segment that leads up. Vault itself refuses to write one.
func Climbs(key string) bool {
	return key == ".." || strings.HasPrefix(key, "../") || strings.HasSuffix(key, "/..") || strings.Contains(key, "/../")
}

// plain says that no storage takes the key for another one: it has only lower case letters, digits and signs without a
// meaning, in segments that are not empty.
func plain(key string) bool {
	begins := true // a segment begins here
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			begins = false
		case c == '/' && !begins:
			begins = true
		case c == '_' && !begins, c == '.' && !begins && i+1 < len(key) && key[i+1] != '/':
		default:
			return false
		}
	}
	return !begins
}

// reached is the key that the least careful storage takes a key for. It is a path without case, without invisible
// characters, without what a file system drops at the end of a name, and without everything after NUL.
func reached(key string) string {
	key, _, _ = strings.Cut(key, "\x00")
	var kept []string
	for s := range strings.FieldsFuncSeq(key, func(r rune) bool { return r == '/' || r == '\\' }) {
		if s == "." {
			continue
		}
		s, _, _ = strings.Cut(strings.Map(folded, s), ":") // a stream of a file
		if s = strings.TrimRight(s, " ."); s == "" {
			s = "?" // the segment is still a name
		}
		kept = append(kept, s)
	}
	return strings.Join(kept, "/")
}

// folded is the character that a file system may take another one for, -1 if it drops it.
func folded(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r < utf8.RuneSelf:
		return r
	case unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me):
		return -1
	}
	least := r
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		least = min(least, o)
	}
	if least >= 'A' && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}

// blocks says whether the file of a key may be where another key has its file: file storage puts "_" in front of the
// last segment.
func blocks(key string) bool { return strings.HasPrefix(key, "_") || strings.Contains(key, "/_") }

// confined is the class of a key that may reach another key: said is the class of its text, reaches the class of the
// other key. A key of a view that is local in one spelling is local. Any other key with two classes is Own, so it is
// never sent.
func confined(key string, said, reaches Class) Class {
	switch {
	case said == reaches:
		return said
	case InView(key) && (said == Shared && reaches == Local || said == Local && reaches == Shared):
		return Local
	default:
		return Own
	}
}
