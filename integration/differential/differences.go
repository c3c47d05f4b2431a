// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Difference is an answer that differs from stock Vault's on purpose.
type Difference struct {
	// Section and Step name the request; "*" in them is any text.
	Section, Step string
	// Place is where the answers differ; "*" is any text between two dots. It includes what
	// lies below the place.
	Place string
	// Here is the target's value in that place, as a report shows it; "*" in it is any
	// text.
	Here string
	// Targets are the names of the targets that differ.
	Targets []string
	// Reason is for the reader of the table.
	Reason string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s at %s for %s (%s)", d.Section, d.Step, d.Place, strings.Join(d.Targets, ", "), d.Reason)
}

func (d Difference) covers(target, section, step string, found Divergence) bool {
	return slices.Contains(d.Targets, target) && like(d.Section, section) && like(d.Step, step) && d.holds(found.Place) &&
		like(d.Here, found.Got)
}

// like compares with "*" for any text. No other character is special.
func like(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !more {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		// A part is matched at its first place, which leaves the most for the parts after
		// it.
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(text, last)
}

func (d Difference) holds(place string) bool {
	want, got := strings.Split(d.Place, "."), strings.Split(place, ".")
	if len(got) < len(want) {
		return false
	}
	for i, part := range want {
		if !like(part, got[i]) {
			return false
		}
	}
	return true
}

// known is the table and which of its entries were needed.
type known struct {
	entries []Difference

	mu   sync.Mutex
	used map[int]bool
}

func newKnown(entries []Difference) *known { return &known{entries: entries, used: map[int]bool{}} }

func (k *known) accepts(target, section, step string, found Divergence) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	accepted := false
	for i, d := range k.entries {
		if d.covers(target, section, step, found) {
			k.used[i] = true
			accepted = true
		}
	}
	return accepted
}

func (k *known) unused(targets map[string]bool) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for i, d := range k.entries {
		ran := slices.ContainsFunc(d.Targets, func(name string) bool { return targets[name] })
		if ran && !k.used[i] {
			out = append(out, d.String())
		}
	}
	return out
}
