// SPDX-License-Identifier: MPL-2.0

package content

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// volatile fields change though nobody changes the content. modify_index grows each time
// that the groups are loaded into memory.
var volatile = map[string]bool{"modify_index": true}

// plain turns an answer into JSON values that compare well: numbers keep their
// digits, empty and missing collections are the same (Vault itself is not
// consistent after a restart), lists of strings are sets.
func plain(content any) (any, error) {
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		return nil, err
	}
	return normalize(out), nil
}

func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if n := normalize(value); n != nil && !volatile[key] {
				out[key] = n
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = normalize(value)
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return out
	default:
		return v
	}
}

// DiffData names the places where two answers differ, as Diff does.
func DiffData(before, after map[string]any) ([]string, error) {
	b, err := plain(before)
	if err != nil {
		return nil, err
	}
	a, err := plain(after)
	if err != nil {
		return nil, err
	}
	return diff("", b, a), nil
}

// Diff names the places where two snapshots differ, with both values.
func Diff(before, after map[string]any) []string {
	return diff("", before, after)
}

func diff(path string, before, after any) []string {
	b, bIsMap := before.(map[string]any)
	a, aIsMap := after.(map[string]any)
	if !bIsMap || !aIsMap {
		if fmt.Sprint(before) == fmt.Sprint(after) {
			return nil
		}
		return []string{fmt.Sprintf("%s: %v, was %v", path, after, before)}
	}
	keys := maps.Clone(b)
	maps.Copy(keys, a)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, diff(path+" › "+key, b[key], a[key])...)
	}
	return out
}
