// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Divergence is one value that two targets answer differently.
type Divergence struct {
	// Place starts with "status", "headers" or "body".
	Place     string
	Want, Got string
}

func (d Divergence) String() string {
	return fmt.Sprintf("%s\n      reference: %s\n      here:      %s", d.Place, d.Want, d.Got)
}

const absent = "(absent)"

// compare lists what differs, in the order of places.
func compare(want, got *Answer) []Divergence {
	var out []Divergence
	if want.Status != got.Status {
		out = append(out, Divergence{"status", fmt.Sprint(want.Status), fmt.Sprint(got.Status)})
	}
	out = compareValues(out, "headers", want.Headers, got.Headers)
	return compareValues(out, "body", want.Body, got.Body)
}

func compareValues(out []Divergence, place string, want, got any) []Divergence {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return compareObjects(out, place, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				out = compareValues(out, fmt.Sprintf("%s.%d", place, i), w[i], g[i])
			}
			return out
		}
	default:
		// Only JSON's types remain here. All but the two above are comparable.
		switch got.(type) {
		case map[string]any, []any:
		default:
			if want == got {
				return out
			}
		}
	}
	return append(out, Divergence{place, show(want), show(got)})
}

func compareObjects(out []Divergence, place string, want, got map[string]any) []Divergence {
	keys := maps.Clone(want)
	maps.Copy(keys, got)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		w, inWant := want[key]
		g, inGot := got[key]
		at := place + "." + key
		switch {
		case !inWant:
			out = append(out, Divergence{at, absent, show(g)})
		case !inGot:
			out = append(out, Divergence{at, show(w), absent})
		default:
			out = compareValues(out, at, w, g)
		}
	}
	return out
}

// show is a value as JSON, without HTML escapes: the names have angle brackets.
func show(value any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(b.String())
}
