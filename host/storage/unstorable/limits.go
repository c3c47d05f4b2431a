// SPDX-License-Identifier: MPL-2.0

package unstorable

import "fmt"

// Limits are what a storage takes, in bytes; 0 is no limit, or none that is known.
type Limits struct {
	// Value is the largest value, and ValueSetting what changes that.
	Value        int    `json:",omitempty"`
	ValueSetting string `json:",omitempty"`
	// Key is the longest key, Name the longest part of one between two slashes.
	Key  int `json:",omitempty"`
	Name int `json:",omitempty"`
}

// Narrower says what a secondary's storage does not take of what its primary's does, in
// a sentence each.
func Narrower(primary, secondary Limits) []string {
	var said []string
	if narrower(primary.Value, secondary.Value) {
		advice := "use the storage of the primary for a cluster that is to take its place"
		if secondary.ValueSetting != "" {
			advice = fmt.Sprintf("raise %s of this cluster", secondary.ValueSetting)
		}
		said = append(said, fmt.Sprintf("This cluster's storage takes values of up to %d bytes, and the primary's %s: "+
			"larger ones will be missing here, and the status will say so; %s.",
			secondary.Value, upTo(primary.Value), advice))
	}
	if narrower(primary.Key, secondary.Key) {
		said = append(said, fmt.Sprintf("This cluster's storage takes keys with names of up to %d bytes, and the primary's "+
			"%s: what has a longer name will be missing here, and the status will say so.",
			secondary.Key, upTo(primary.Key)))
	}
	if narrower(primary.Name, secondary.Name) {
		said = append(said, fmt.Sprintf("This cluster's storage takes names of up to %d bytes between two slashes, and the "+
			"primary's %s: "+
			"what has a longer name (in KV version 2 one of about 110 characters) will be missing here, and the status will "+
			"say so; use the storage of the primary for a cluster that is to take its place.",
			secondary.Name, upTo(primary.Name)))
	}
	return said
}

func narrower(primary, secondary int) bool {
	return secondary > 0 && (primary == 0 || primary > secondary)
}

func upTo(limit int) string {
	if limit == 0 {
		return "has no such limit"
	}
	return fmt.Sprintf("takes up to %d", limit)
}
