// SPDX-License-Identifier: MPL-2.0

// Package filter has the rule of a paths filter: which mounts of its primary a performance
// secondary gets.
package filter

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Modes of a Filter.
const (
	Allow = "allow"
	Deny  = "deny"
	// None is left after a filter was removed. It hides nothing.
	None = "none"
)

// mostFormer is how many former filters a record keeps.
const mostFormer = 16

// Rule names mounts by their paths in requests: "secret/", "auth/ldap/".
type Rule struct {
	// Mode is Allow (the mounts in Paths alone), Deny (all but those) or None.
	Mode  string   `json:"mode"`
	Paths []string `json:"paths,omitempty"`
	// Revision grows with each change of a secondary's filter.
	Revision uint64 `json:"revision,omitempty"`
}

// Filter is the rule of a secondary, as it is stored.
type Filter struct {
	Rule
	// Former are the rules before the present one, the last one first. A row that is read
	// late has the present value, so a secondary may get this record without having seen
	// them. It lacks what was left out of the stream under one of them.
	Former []Rule `json:"former,omitempty"`
}

// system are the mounts that every cluster needs. No filter hides them.
var system = []string{"sys/", "identity/", "cubbyhole/", "auth/token/"}

// System says whether a mount cannot be filtered.
func System(path string) bool { return slices.Contains(system, path) }

// Hides says whether the mount at a path is left out.
func (r Rule) Hides(path string) bool {
	if System(path) || r.Mode == None {
		return false
	}
	return slices.Contains(r.Paths, path) == (r.Mode == Deny)
}

// Hides says whether the mount at a path is left out. Without a filter nothing is.
func (f *Filter) Hides(path string) bool { return f != nil && f.Rule.Hides(path) }

// Number is the revision, 0 where there has never been a filter.
func (f *Filter) Number() uint64 {
	if f == nil {
		return 0
	}
	return f.Revision
}

// Following returns the record of a rule that replaces old, which is nil if there is none.
func Following(old *Filter, r Rule) *Filter {
	before := []Rule{{Mode: None}}
	if old != nil {
		before = append([]Rule{old.Rule}, old.Former...)
	}
	r.Revision = old.Number() + 1
	return &Filter{Rule: r, Former: before[:min(len(before), mostFormer)]}
}

// HidSince says whether a rule after a revision and before the present one has hidden the
// mount at a path, or may have. The record knows only the last rules.
func (f *Filter) HidSince(revision uint64, path string) bool {
	if System(path) || f.Number() == revision {
		return false
	}
	if f.Number() < revision {
		return true // the record was made anew, and nobody knows what was in between
	}
	next := f.Revision
	for _, r := range f.Former {
		if r.Revision <= revision {
			return false
		}
		if r.Hides(path) {
			return true
		}
		next = r.Revision
	}
	return next > revision+1
}

// Encode is the stored form.
func (f *Filter) Encode() ([]byte, error) { return json.Marshal(f) }

// Decode reads the stored form. It returns nil for nothing.
func Decode(raw []byte) (*Filter, error) {
	if raw == nil {
		return nil, nil
	}
	var f Filter
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("the paths filter cannot be read: %w", err)
	}
	if len(f.Former) > mostFormer {
		return nil, fmt.Errorf("the paths filter has %d rules that were before it, and this version keeps %d", len(f.Former),
			mostFormer)
	}
	for _, r := range append([]Rule{f.Rule}, f.Former...) {
		if r.Mode != Allow && r.Mode != Deny && r.Mode != None {
			return nil, fmt.Errorf("the paths filter has the mode %q, which this version does not know", r.Mode)
		}
	}
	return &f, nil
}
