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
)

// Filter names mounts by their paths as requests have them: "secret/",
// "auth/ldap/".
type Filter struct {
	// Mode is Allow (the mounts in Paths alone) or Deny (all but those).
	Mode  string   `json:"mode"`
	Paths []string `json:"paths"`
}

// system are the mounts that every cluster needs: no filter takes them away.
var system = []string{"sys/", "identity/", "cubbyhole/", "auth/token/"}

// System says whether a mount cannot be filtered.
func System(path string) bool { return slices.Contains(system, path) }

// Hides says whether the mount at a path is left out. No filter hides nothing.
func (f *Filter) Hides(path string) bool {
	if f == nil || System(path) {
		return false
	}
	return slices.Contains(f.Paths, path) == (f.Mode == Deny)
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
	if f.Mode != Allow && f.Mode != Deny {
		return nil, fmt.Errorf("the paths filter has the mode %q, which this version does not know", f.Mode)
	}
	return &f, nil
}
