// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"strings"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/shared/replication"
)

var (
	exact    = map[string]Class{}
	prefixes = map[string]Class{} // those that end with a slash
	literal  []Row                // prefixes that do not
)

func init() {
	for _, r := range Rows {
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

// LocalFunc says whether a key of a mount's view is local: the view belongs to a
// local mount, or the rest to a prefix that the backend declared as local
// storage. kind is "logical", "auth" or "audit", uuid that of the view, rest the
// key within it. It is called on every write and must not block.
type LocalFunc func(kind, uuid, rest string) bool

// Classifier is the table together with what is known of the mounts. Its zero
// value knows no local mounts. Safe for concurrent use.
type Classifier struct {
	local atomic.Pointer[LocalFunc]
}

// SetLocal installs the hook for views of mounts; nil removes it.
func (c *Classifier) SetLocal(f LocalFunc) {
	if f == nil {
		c.local.Store(nil)
		return
	}
	c.local.Store(&f)
}

// Class is the class of a key.
func (c *Classifier) Class(key string) Class {
	class := lookup(key)
	if class != Shared {
		return class
	}
	f := c.local.Load()
	if f == nil {
		return class
	}
	kind, rest, ok := strings.Cut(key, "/")
	if !ok || (kind != "logical" && kind != "auth" && kind != "audit") {
		return class
	}
	uuid, rest, _ := strings.Cut(rest, "/")
	if (*f)(kind, uuid, rest) {
		return Local
	}
	return class
}

// Replicated says whether a key is part of the content of a mode.
func (c *Classifier) Replicated(mode replication.Mode, key string) bool {
	return InMode(c.Class(key), mode)
}

// InMode says whether keys of a class are part of the content of a mode.
func InMode(class Class, mode replication.Mode) bool {
	switch class {
	case Shared:
		return true
	case Own:
		return false
	default:
		return mode == replication.DR
	}
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
