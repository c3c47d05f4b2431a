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

// Tables are the storage keys of the mount tables that a Mounts is made from, with
// the directories of their views.
var Tables = map[string]string{
	vaultname.Mounts: vaultname.EngineViews, vaultname.LocalMounts: vaultname.EngineViews,
	vaultname.Auth: vaultname.AuthViews, vaultname.LocalAuth: vaultname.AuthViews,
	vaultname.Audit: vaultname.AuditViews, vaultname.LocalAudit: vaultname.AuditViews,
}

// View is what is known of a mount's view.
type View struct {
	Prefix string // such as "logical/<uuid>/"
	vaultname.Mount
	// LocalPrefixes are those of the backend; not known until it was loaded on some
	// primary of the set, unless it is built in.
	LocalPrefixes []string
	Known         bool
}

// Mounts knows the views of all mounts. What it knows comes from two sources at
// different times: a view belongs to a mount once the table has it, and the
// local part of it is known when the backend is, or when the record of what backends
// have declared has it. Until both are known its keys are held: they are Unknown. Make it
// with NewMounts; safe for concurrent use.
type Mounts struct {
	mu       sync.Mutex
	tables   map[string][]vaultname.Mount
	declared map[string][]string // by UUID: what the backend itself says
	recorded Declared            // what the record says
	views    atomic.Pointer[map[string]*View]
}

// NewMounts knows nothing yet: the keys of all views are held.
func NewMounts() *Mounts {
	m := &Mounts{tables: map[string][]vaultname.Mount{}, declared: map[string][]string{}}
	m.views.Store(&map[string]*View{})
	return m
}

// SetTable says what a mount table has now and returns the prefixes of the views
// whose classes it has changed, in order.
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

// SetLocalPrefixes says which storage prefixes the backend of a view declares as
// local to a cluster, none if there are none. It may be called before the table
// has the mount. It returns the prefixes of the views whose classes it has
// changed.
func (m *Mounts) SetLocalPrefixes(uuid string, prefixes []string) (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.declared[uuid] = slices.Clone(prefixes)
	return m.renew()
}

// SetRecorded says what the record of declared prefixes has now. It returns the prefixes of
// the views whose classes that changes.
func (m *Mounts) SetRecorded(d Declared) (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recorded = maps.Clone(d)
	return m.renew()
}

// Unload forgets what backends themselves have said, as in a core that is built anew: the
// record alone counts, until they are loaded. It returns the prefixes of the views whose
// classes that changes.
func (m *Mounts) Unload() (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.declared)
	return m.renew()
}

// ByRecord says whether the classes of a view's keys follow from the record: it is not
// local, and its engine is no part of Vault.
func (v *View) ByRecord() bool { return !v.Local && !v.isBuiltin() }

func (v *View) isBuiltin() bool {
	_, ok := builtin(v.Prefix[:strings.IndexByte(v.Prefix, '/')+1], v.Type)
	return ok && !v.External
}

// LocalPrefixes is what SetLocalPrefixes has said of a mount; known is false while
// it has said nothing.
func (m *Mounts) LocalPrefixes(uuid string) (prefixes []string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	prefixes, known = m.declared[uuid]
	return slices.Clone(prefixes), known
}

// ForgetLocalPrefixes takes back what SetLocalPrefixes has said of a mount.
func (m *Mounts) ForgetLocalPrefixes(uuid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.declared, uuid)
	m.renew()
}

// Complete says whether all mount tables were given, so that a view that is not
// known belongs to no mount.
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

// Classes identifies the classes that the keys of all views have: equal if and only if
// they have the same.
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
				continue // in two tables at once: what is local anywhere never leaves
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

// prefixesOf joins what the backend declares, or has declared on a primary, with what is
// known of its type: a backend that could not be loaded declares nothing.
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

// class is that of a key of the view, rest the key below it. Prefixes are those
// of text, as the SDK documents them, and need not end with a slash.
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

// InView says whether a key is of a mount's view, or would be if it were longer.
func InView(key string) bool {
	return slices.ContainsFunc(ViewDirectories, func(dir string) bool { return strings.HasPrefix(key, dir) })
}

// ViewDirectories are where the views of mounts are, one directory for each UUID.
var ViewDirectories = []string{vaultname.EngineViews, vaultname.AuthViews, vaultname.AuditViews}
