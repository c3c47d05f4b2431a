// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"strings"
	"sync/atomic"
)

var (
	exact    = map[string]Class{}
	prefixes = map[string]Class{} // those that end with a slash
	literal  []Row                // prefixes that do not

	// Rows with capital letters, as a storage has them that folds.
	foldedExact, foldedPrefixes = map[string]Class{}, map[string]Class{}
)

func init() {
	for _, r := range Rows {
		if low := strings.ToLower(r.Key); low != r.Key {
			if r.Prefix {
				foldedPrefixes[low] = r.Class
			} else {
				foldedExact[low] = r.Class
			}
		}
		switch {
		case !r.Prefix:
			exact[r.Key] = r.Class
		case strings.HasSuffix(r.Key, "/"):
			prefixes[r.Key] = r.Class
		default:
			literal = append(literal, r)
		}
	}
}

// Classifier is the table together with what is known of the mounts. Its zero
// value knows no mounts, and then all views are Shared: that is enough for DR,
// where they go anyway. Safe for concurrent use.
type Classifier struct {
	mounts atomic.Pointer[Mounts]
}

// SetMounts gives what is known of the mounts, without which performance
// replication must not begin; nil removes it.
func (c *Classifier) SetMounts(m *Mounts) { c.mounts.Store(m) }

// Mounts is what is known of the mounts, nil if nothing was given.
func (c *Classifier) Mounts() *Mounts { return c.mounts.Load() }

// Class is the class of a key. No spelling of a key has another class than the key that
// any storage takes it for.
func (c *Classifier) Class(key string) Class {
	class := c.literal(key)
	if plain(key) || c.uniform(key) {
		return class
	}
	if class == Unknown && !InView(key) && blocks(key) || Climbs(key) {
		return Own
	}
	return confined(key, class, c.reaches(reached(key)))
}

// uniform says whether all keys of the key's view have one class.
func (c *Classifier) uniform(key string) bool {
	prefix, _, ok := SplitView(key)
	if !ok || Climbs(key) || !plain(strings.TrimSuffix(prefix, "/")) {
		return false
	}
	m := c.mounts.Load()
	if m == nil {
		return true
	}
	v := (*m.views.Load())[prefix]
	return v != nil && (v.Local || v.Known && len(v.LocalPrefixes) == 0)
}

// reaches is the class of a folded key. One that is a prefix of the table without its
// slash is of what is below it: Vault writes such keys too.
func (c *Classifier) reaches(key string) Class {
	if key == "" {
		return Own // the storage itself
	}
	for _, k := range []string{key, key + "/"} {
		if class, ok := foldedExact[k]; ok {
			return class
		}
		for i := strings.LastIndexByte(k, '/'); i >= 0; i = strings.LastIndexByte(k[:i], '/') {
			if class, ok := foldedPrefixes[k[:i+1]]; ok {
				return class
			}
		}
	}
	if class := c.literal(key); class != Unknown {
		return class
	}
	return c.literal(key + "/")
}

// literal is the class of a key as it is written.
func (c *Classifier) literal(key string) Class {
	class := lookup(key)
	if class != Shared {
		return class
	}
	m := c.mounts.Load()
	if m == nil || !InView(key) {
		return class
	}
	prefix, rest, ok := SplitView(key)
	if !ok {
		return Unknown
	}
	return (*m.views.Load())[prefix].class(rest)
}

// Held says whether a key is Unknown because its mount is not known yet, and may
// become known.
func (c *Classifier) Held(key string) bool {
	return InView(key) && c.Class(key) == Unknown
}

// Unmounted says whether a key is below the views' directories and no mount table
// that is known has its view.
func (c *Classifier) Unmounted(key string) bool {
	m := c.mounts.Load()
	if m == nil || !InView(key) {
		return false
	}
	_, ok := m.View(key)
	return !ok
}

// Orphan says whether a key is in a view that no mount has. While not all mount
// tables were given nobody can say, and it is false.
func (c *Classifier) Orphan(key string) bool {
	return c.Unmounted(key) && c.mounts.Load().Complete()
}

// Area says where a key is, for who may not see names: the place that the table has for
// it, and of a view no more than what kind it is.
func Area(key string) string {
	best := ""
	for _, r := range Rows {
		if (key == r.Key || (r.Prefix && strings.HasPrefix(key, r.Key))) && len(r.Key) > len(best) {
			best = r.Key
		}
	}
	if best == "" {
		return "a place that the table of classes does not know"
	}
	return best
}

// OwnDirectory says that everything below a directory (which ends with a slash)
// is Own, so that a walk need not enter it.
func OwnDirectory(dir string) bool {
	return lookup(dir) == Own && !hasRowBelow(dir)
}

// IsAbsorbed says whether the deletion of a key by a secondary's own core is to
// be dropped.
func IsAbsorbed(key string) bool {
	for _, p := range Absorbed {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

func lookup(key string) Class {
	if class, ok := exact[key]; ok {
		return class
	}
	for i := strings.LastIndexByte(key, '/'); i >= 0; i = strings.LastIndexByte(key[:i], '/') {
		if class, ok := prefixes[key[:i+1]]; ok {
			return class
		}
	}
	for _, r := range literal {
		if strings.HasPrefix(key, r.Key) {
			return r.Class
		}
	}
	// File storage writes a key through a temporary file of the same name and some
	// digits, and leaves it behind when the process is killed. No key of the table
	// has such a name, so it is known for what it is; one in a mount's view is not.
	if base := strings.TrimRight(key, "0123456789"); base != key {
		if _, ok := exact[base]; ok {
			return Own
		}
	}
	return Unknown
}

// hasRowBelow finds rows of another class below a prefix, which would make it
// wrong to judge the directory by its own name.
func hasRowBelow(dir string) bool {
	for _, r := range Rows {
		if len(r.Key) > len(dir) && strings.HasPrefix(r.Key, dir) && r.Class != Own {
			return true
		}
	}
	return false
}
