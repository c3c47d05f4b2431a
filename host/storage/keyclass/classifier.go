// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"strings"
	"sync/atomic"
)

var (
	exact    = map[string]Class{}
	prefixes = map[string]Class{} // those that end with a slash
	literal  []Row                // prefixes without a slash at the end

	// Rows with capital letters, in lower case, as a storage that folds letters has them.
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

// Classifier is the table together with what is known of the mounts. The zero value knows no mounts and takes all views
// for Shared. That is enough for DR, which replicates all views. Safe for concurrent use.
type Classifier struct {
	mounts atomic.Pointer[Mounts]
}

// SetMounts gives what is known of the mounts, without which performance
// replication must not begin; nil removes it.
func (c *Classifier) SetMounts(m *Mounts) { c.mounts.Store(m) }

// Mounts is what is known of the mounts, nil if nothing was given.
func (c *Classifier) Mounts() *Mounts { return c.mounts.Load() }

// Class is the class of a key. A storage may take one key for another; then both have the same class, or the key stays
// in the cluster.
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

// reaches is the class of a folded key. A key that is a prefix of the table without its slash has the class of that
// prefix: Vault writes such keys too.
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

// Held says whether a key is held back: it is Unknown because its mount is not known yet.
func (c *Classifier) Held(key string) bool {
	return InView(key) && c.Class(key) == Unknown
}

// Unmounted says whether a key is in the directories of views and no known mount table has its view.
func (c *Classifier) Unmounted(key string) bool {
	m := c.mounts.Load()
	if m == nil || !InView(key) {
		return false
	}
	_, ok := m.View(key)
	return !ok
}

// Orphan says whether a key is in a view without a mount. It is false until all mount tables are known.
func (c *Classifier) Orphan(key string) bool {
	return c.Unmounted(key) && c.mounts.Load().Complete()
}

// Area says where a key is, for readers who may not see names: the row of the table that covers it. For a key of a view
// this is only the kind of the view.
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

// OwnDirectory says that everything below a directory (which ends with a slash) is Own, so a walk can skip it.
func OwnDirectory(dir string) bool {
	return lookup(dir) == Own && !hasRowBelow(dir)
}

// IsAbsorbed says whether the deletion of a key by a secondary's own core must be dropped.
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
	// Stock Vault writes a key of file storage into a temporary file with the same name and some digits, and leaves the
	// file behind when the process is killed. No key of the table has such a name, so this is such a file.
	if base := strings.TrimRight(key, "0123456789"); base != key {
		if _, ok := exact[base]; ok {
			return Own
		}
	}
	return Unknown
}

// hasRowBelow finds rows of another class below a directory. With such a row the directory's own class does not hold
// for all of it.
func hasRowBelow(dir string) bool {
	for _, r := range Rows {
		if len(r.Key) > len(dir) && strings.HasPrefix(r.Key, dir) && r.Class != Own {
			return true
		}
	}
	return false
}
