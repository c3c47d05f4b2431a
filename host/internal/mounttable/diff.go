// SPDX-License-Identifier: MPL-2.0

package mounttable

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Op is what is done to one mount.
type Op int

// The operations.
const (
	// Taint stops requests to a mount that the primary is about to remove or move.
	Taint Op = iota + 1
	// Untaint lets requests through again.
	Untaint
	// Remove unmounts.
	Remove
	// Move changes the path, and lets requests through.
	Move
	// Tune takes over settings.
	Tune
	// Rebuild replaces the running backend, because its version or options changed.
	Rebuild
	// Add mounts.
	Add
	// Refuse leaves a mount out, because the local mount Blocker has its place.
	Refuse
)

// Step is one operation. Old is the mount that runs (unset for Add and Refuse). New is the
// stored one (unset for Remove).
type Step struct {
	Op       Op
	Old, New Entry
	Blocker  Entry
}

// Diff returns the steps that make a core run the stored entries in place of the running ones (shared and local).
// Hidden stored entries count as absent; a nil hidden hides none. built has, by UUID, the settings from which the
// backends were built, if a former table had them.
func Diff(running, stored []Entry, hidden func(Entry) bool, built map[string]string) []Step {
	d := &differ{built: built}
	shared := map[string]Entry{}
	for _, e := range running {
		if e.Local {
			d.locals = append(d.locals, e)
		} else {
			shared[e.UUID] = e
		}
	}
	wanted := map[string]bool{}
	var kept, added []Entry
	for _, e := range stored {
		if e.Local || (hidden != nil && !e.Singleton() && hidden(e)) {
			continue
		}
		wanted[e.UUID] = true
		if _, runs := shared[e.UUID]; runs {
			kept = append(kept, e)
		} else if !e.Singleton() {
			added = append(added, e)
		}
	}
	for _, e := range running {
		if !e.Local && !e.Singleton() && !wanted[e.UUID] {
			d.add(Step{Op: Remove, Old: e})
			delete(shared, e.UUID)
		}
	}
	added = append(added, d.move(shared, kept)...)
	for _, e := range kept {
		if old, runs := shared[e.UUID]; runs {
			d.change(old, e)
		}
	}
	for _, e := range added {
		if blocker, blocked := d.blocked(e); blocked {
			d.add(Step{Op: Refuse, New: e, Blocker: blocker})
		} else {
			d.add(Step{Op: Add, New: e})
		}
	}
	return d.steps
}

type differ struct {
	locals []Entry
	built  map[string]string
	steps  []Step
}

func (d *differ) add(s Step) { d.steps = append(d.steps, s) }

func (d *differ) blocked(e Entry) (Entry, bool) {
	for _, l := range d.locals {
		if Overlap(l.Path, e.Path) {
			return l, true
		}
	}
	return Entry{}, false
}

// move puts entries to their new paths, each when its path is free. Several changes at once can make a circle. Then one
// entry is unmounted and returned, to be mounted at the end. The same is done for an entry if a local mount has its new
// path.
func (d *differ) move(shared map[string]Entry, kept []Entry) (again []Entry) {
	pending := slices.DeleteFunc(slices.Clone(kept), func(e Entry) bool { return shared[e.UUID].Path == e.Path })
	for len(pending) > 0 {
		i := slices.IndexFunc(pending, func(e Entry) bool { return d.free(shared, e) })
		if i < 0 {
			d.add(Step{Op: Remove, Old: shared[pending[0].UUID]})
			delete(shared, pending[0].UUID)
			again = append(again, pending[0])
			pending = pending[1:]
			continue
		}
		e := pending[i]
		d.add(Step{Op: Move, Old: shared[e.UUID], New: e})
		moved := shared[e.UUID]
		moved.Path, moved.Tainted = e.Path, false
		shared[e.UUID] = moved
		pending = slices.Delete(pending, i, i+1)
	}
	return again
}

func (d *differ) free(shared map[string]Entry, e Entry) bool {
	for uuid, other := range shared {
		if uuid != e.UUID && Overlap(other.Path, e.Path) {
			return false
		}
	}
	_, blocked := d.blocked(e)
	return !blocked
}

// change compares a mount that is at its path.
func (d *differ) change(old, e Entry) {
	if e.Tainted && !old.Tainted {
		d.add(Step{Op: Taint, Old: old, New: e})
	}
	if old.Settings() != e.Settings() {
		d.add(Step{Op: Tune, Old: old, New: e})
	}
	if d.rebuilt(old, e) && !e.Singleton() {
		d.add(Step{Op: Rebuild, Old: old, New: e})
	}
	if !e.Tainted && old.Tainted {
		d.add(Step{Op: Untaint, Old: old, New: e})
	}
}

func (d *differ) rebuilt(old, e Entry) bool {
	if before, known := d.built[e.UUID]; known {
		return before != e.Built()
	}
	return old.Configured() != e.Configured()
}

// BuiltOf returns what a later Diff needs to know of a table.
func BuiltOf(entries []Entry) map[string]string {
	built := make(map[string]string, len(entries))
	for _, e := range entries {
		built[e.UUID] = e.Built()
	}
	return built
}

// Filter returns a stored table without the hidden entries, and without those whose place a
// local mount has. A core that loads two mounts at one path cannot be unsealed.
func Filter(raw, local []byte, hidden func(Entry) bool) ([]byte, error) {
	t, err := decode(raw)
	if err != nil {
		return nil, err
	}
	locals, err := Decode(local)
	if err != nil {
		return nil, err
	}
	d := &differ{locals: locals}
	kept := make([]json.RawMessage, 0, len(t.Entries))
	for _, r := range t.Entries {
		e, err := decodeEntry(r)
		if err != nil {
			return nil, err
		}
		if !e.Singleton() {
			if _, blocked := d.blocked(e); blocked || (hidden != nil && hidden(e)) {
				continue
			}
		}
		kept = append(kept, r)
	}
	if len(kept) == len(t.Entries) {
		return raw, nil
	}
	t.Entries = kept
	out, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("the mount table cannot be written: %w", err)
	}
	return out, nil
}
