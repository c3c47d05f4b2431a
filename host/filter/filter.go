// SPDX-License-Identifier: MPL-2.0

// Package filter is the rule of a paths filter: which mounts of its primary a
// performance secondary gets.
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
	// None is what is left of a filter that was removed: it hides nothing.
	None = "none"
)

// mostFormer is how many filters a record keeps of those before it.
const mostFormer = 16

// Rule names mounts by their paths as requests have them: "secret/", "auth/ldap/".
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
	// Former are the rules before it, the last one first. A secondary may get the
	// record without having seen them: its values are those of now when a row is read
	// late. What was left out of the stream under one of them it does not have.
	Former []Rule `json:"former,omitempty"`
}

// system are the mounts that every cluster needs: no filter takes them away.
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

// Hides says whether the mount at a path is left out. No filter hides nothing.
func (f *Filter) Hides(path string) bool { return f != nil && f.Rule.Hides(path) }

// Number is the revision, 0 where there has never been a filter.
func (f *Filter) Number() uint64 {
	if f == nil {
		return 0
	}
	return f.Revision
}

// Following is the record of a rule that takes the place of a record, nil if there is
// none.
func Following(old *Filter, r Rule) *Filter {
	before := []Rule{{Mode: None}}
	if old != nil {
		before = append([]Rule{old.Rule}, old.Former...)
	}
	r.Revision = old.Number() + 1
	return &Filter{Rule: r, Former: before[:min(len(before), mostFormer)]}
}

// HidSince says whether a rule after the one with a revision, and before the present
// one, has hidden the mount at a path, or may have: a record knows the last ones.
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

// Decode reads it; nil of nothing.
func Decode(raw []byte) (*Filter, error) {
	if raw == nil {
		return nil, nil
	}
	var f Filter
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("the paths filter cannot be read: %w", err)
	}
	if len(f.Former) > mostFormer {
		return nil, fmt.Errorf("the paths filter has %d rules that were before it, and this version keeps %d", len(f.Former), mostFormer)
	}
	for _, r := range append([]Rule{f.Rule}, f.Former...) {
		if r.Mode != Allow && r.Mode != Deny && r.Mode != None {
			return nil, fmt.Errorf("the paths filter has the mode %q, which this version does not know", r.Mode)
		}
	}
	return &f, nil
}
