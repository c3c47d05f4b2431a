// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Tables are the storage keys of the mount tables, with the directories of their views.
var Tables = map[string]string{
	vaultname.Mounts: vaultname.EngineViews, vaultname.LocalMounts: vaultname.EngineViews,
	vaultname.Auth: vaultname.AuthViews, vaultname.LocalAuth: vaultname.AuthViews,
	vaultname.Audit: vaultname.AuditViews, vaultname.LocalAudit: vaultname.AuditViews,
}

// View is what is known of a mount's view.
type View struct {
	Prefix string // such as "logical/<uuid>/"
	vaultname.Mount
	// LocalPrefixes are the local prefixes of the backend. Known says that they are known: the backend is built in, or
	// some primary of the set has loaded it.
	LocalPrefixes []string
	Known         bool
}

// Mounts knows the views of all mounts. It needs two things of a view, which come at different times: the mount table
// that has its mount, and the local prefixes, from the loaded backend or from the record of declared prefixes. Until it
// has both, the keys of the view are held back: they are Unknown. Make it with NewMounts; safe for concurrent use.
type Mounts struct {
	mu       sync.Mutex
	tables   map[string][]vaultname.Mount
	declared map[string][]string // by UUID: from the backend itself
	recorded Declared            // from the record
	views    atomic.Pointer[map[string]*View]
}

// NewMounts knows nothing yet: the keys of all views are held back.
func NewMounts() *Mounts {
	m := &Mounts{tables: map[string][]vaultname.Mount{}, declared: map[string][]string{}}
	m.views.Store(&map[string]*View{})
	return m
}

// SetTable sets the present content of a mount table. It returns the prefixes of the views whose classes change, in
// order.
func (m *Mounts) SetTable(table string, mounts []vaultname.Mount) (changed []string, err error) {
	if _, ok := Tables[table]; !ok {
		return nil, fmt.Errorf("%q is no mount table, so nothing can be learned from it", table)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := m.tables[table]
	m.tables[table] = slices.Clone(mounts)
	for _, old := range gone {
		if !slices.ContainsFunc(mounts, func(n vaultname.Mount) bool { return n.UUID == old.UUID }) {
			delete(m.declared, old.UUID)
		}
	}
	return m.renew(), nil
}

// SetLocalPrefixes sets the storage prefixes that the backend of a mount declares local; there may be none. It may be
// called before the table has the mount. It returns the prefixes of the views whose classes change.
func (m *Mounts) SetLocalPrefixes(uuid string, prefixes []string) (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.declared[uuid] = slices.Clone(prefixes)
	return m.renew()
}

// SetRecorded sets the present record of declared prefixes. It returns the prefixes of the views whose classes change.
func (m *Mounts) SetRecorded(d Declared) (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recorded = maps.Clone(d)
	return m.renew()
}

// Unload forgets what SetLocalPrefixes has set, for a core that is built anew: only the record counts until the
// backends are loaded. It returns the prefixes of the views whose classes change.
func (m *Mounts) Unload() (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.declared)
	return m.renew()
}

// ByRecord says whether the record decides the classes of a view's keys: the mount is not local, and its engine is not
// part of Vault.
func (v *View) ByRecord() bool { return !v.Local && !v.isBuiltin() }

func (v *View) isBuiltin() bool {
	_, ok := builtin(v.Prefix[:strings.IndexByte(v.Prefix, '/')+1], v.Type)
	return ok && !v.External
}

// Recorded is what the record says of a mount; known is false if it does not have the mount.
func (m *Mounts) Recorded(uuid string) (prefixes []string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	prefixes, known = m.recorded[uuid]
	return slices.Clone(prefixes), known
}

// Complete says whether all mount tables were set. Then an unknown view has no mount.
func (m *Mounts) Complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tables) == len(Tables)
}

// View is what is known of the view that a key, or a prefix of keys, is in.
func (m *Mounts) View(key string) (View, bool) {
	prefix, _, ok := SplitView(key)
	if !ok {
		return View{}, false
	}
	v := (*m.views.Load())[prefix]
	if v == nil {
		return View{}, false
	}
	return *v, true
}

// Views are all that are known, by prefix.
func (m *Mounts) Views() []View {
	views := *m.views.Load()
	out := make([]View, 0, len(views))
	for _, p := range slices.Sorted(maps.Keys(views)) {
		out = append(out, *views[p])
	}
	return out
}

// Classes identifies the classes of the keys of all views: two are equal if and only if all classes are.
func (m *Mounts) Classes() (id [32]byte) {
	h := sha256.New()
	for _, v := range m.Views() {
		_, _ = fmt.Fprintf(h, "%q %t", v.Prefix, v.Local)
		if !v.Local {
			_, _ = fmt.Fprintf(h, " %t %q", v.Known, v.LocalPrefixes)
		}
		_, _ = fmt.Fprintln(h)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// renew makes the views anew and returns those that differ in class.
func (m *Mounts) renew() []string {
	old := *m.views.Load()
	views := make(map[string]*View, len(old))
	for table, mounts := range m.tables {
		for _, mount := range mounts {
			v := &View{Prefix: Tables[table] + mount.UUID + "/", Mount: mount}
			v.Local = mount.Local || vaultname.IsLocalTable(table)
			if was := views[v.Prefix]; was != nil && was.Local {
				continue // in two tables at once: local wins, so the keys never leave
			}
			v.LocalPrefixes, v.Known = m.prefixesOf(Tables[table], mount)
			views[v.Prefix] = v
		}
	}
	m.views.Store(&views)
	var changed []string
	for p, v := range views {
		if was := old[p]; was == nil || !was.sameClasses(v) {
			changed = append(changed, p)
		}
	}
	for p := range old {
		if views[p] == nil {
			changed = append(changed, p)
		}
	}
	slices.Sort(changed)
	return changed
}

// prefixesOf joins what the backend declares, or what the record says of it, with what is known of its type, because a
// backend that could not be loaded declares nothing.
func (m *Mounts) prefixesOf(kind string, mount vaultname.Mount) (prefixes []string, known bool) {
	declared, known := m.declared[mount.UUID]
	if !known {
		declared, known = m.recorded[mount.UUID]
	}
	prefixes = slices.Clone(declared)
	if !mount.External {
		if b, ok := builtin(kind, mount.Type); ok {
			prefixes, known = append(prefixes, b.LocalPrefixes...), true
		}
	}
	slices.Sort(prefixes)
	return slices.Compact(prefixes), known
}

func (v *View) sameClasses(o *View) bool {
	return v.Local == o.Local && (v.Local || v.Known == o.Known && slices.Equal(v.LocalPrefixes, o.LocalPrefixes))
}

// class is the class of a key of the view; rest is the key below the view. Local prefixes are prefixes of text, as the
// SDK documents them: they need not end with a slash.
func (v *View) class(rest string) Class {
	switch {
	case v == nil:
		return Unknown
	case v.Local:
		return Local
	case !v.Known:
		return Unknown
	}
	for _, p := range v.LocalPrefixes {
		if strings.HasPrefix(rest, p) {
			return Local
		}
	}
	return Shared
}

// SplitView cuts a key of a mount's view into the view's prefix and the rest; ok
// is false for any other key.
func SplitView(key string) (prefix, rest string, ok bool) {
	for _, dir := range ViewDirectories {
		mount, ok := strings.CutPrefix(key, dir)
		if !ok {
			continue
		}
		i := strings.IndexByte(mount, '/')
		if i <= 0 {
			return "", "", false
		}
		n := len(dir) + i + 1
		return key[:n], key[n:], true
	}
	return "", "", false
}

// InView says whether a key is in the directories of views, even if it is too short to name a view.
func InView(key string) bool {
	return slices.ContainsFunc(ViewDirectories, func(dir string) bool { return strings.HasPrefix(key, dir) })
}

// ViewDirectories have the views of mounts, one directory for each UUID.
var ViewDirectories = []string{vaultname.EngineViews, vaultname.AuthViews, vaultname.AuditViews}
