// SPDX-License-Identifier: MPL-2.0

package unstorable

import "fmt"

// Limits are the limits of a storage, in bytes; 0 is no limit, or no known one.
type Limits struct {
	// Value is the size of the largest value; ValueSetting is the setting that changes it.
	Value        int    `json:",omitempty"`
	ValueSetting string `json:",omitempty"`
	// Key is the length of the longest key, Name that of the longest part between two slashes.
	Key  int `json:",omitempty"`
	Name int `json:",omitempty"`
}

// Narrower says, in one sentence for each limit, what the primary's storage accepts and the secondary's does not.
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
