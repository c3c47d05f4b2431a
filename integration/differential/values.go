// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// values are the named values of one target, and the way back: from a value in an answer to
// the name that is the same for all targets.
type values struct {
	byName map[string]string
	// longest has the longest first, so that a value that contains another is found whole.
	longest []named
}

type named struct{ value, name string }

// partOfText is the length from which a value is also replaced inside a longer
// text: a short one is in a text by chance.
const partOfText = 8

// wholeText is the length from which a value is replaced where it is the whole
// text.
const wholeText = 4

func newValues(given map[string]string) *values {
	v := &values{byName: map[string]string{}}
	for name, value := range given {
		v.set(name, value)
	}
	return v
}

// constant makes a value known to requests only. It is the same on all targets, so answers
// need no replacement.
func (v *values) constant(name, value string) { v.byName[name] = value }

func (v *values) set(name, value string) {
	v.byName[name] = value
	v.longest = slices.DeleteFunc(v.longest, func(n named) bool { return n.name == name })
	if len(value) < wholeText {
		return
	}
	v.longest = append(v.longest, named{value: value, name: name})
	slices.SortFunc(v.longest, func(a, b named) int {
		if len(a.value) != len(b.value) {
			return len(b.value) - len(a.value)
		}
		return strings.Compare(a.name, b.name)
	})
}

// named replaces the known values in a text of an answer.
func (v *values) named(text string) string {
	for _, n := range v.longest {
		switch {
		case text == n.value:
			return "<" + n.name + ">"
		case len(n.value) >= partOfText:
			text = strings.ReplaceAll(text, n.value, "<"+n.name+">")
		}
	}
	return text
}

var placeholder = regexp.MustCompile(`\$\{([a-z0-9_]+)\}`)

// fillText puts values into a text of a request. An unknown name stays and is
// found by [check].
func (v *values) fillText(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		if value, ok := v.byName[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

func (v *values) fill(body any) any {
	switch b := body.(type) {
	case string:
		return v.fillText(b)
	case Body:
		return v.fill(map[string]any(b))
	case map[string]any:
		out := make(map[string]any, len(b))
		for key, value := range b {
			out[v.fillText(key)] = v.fill(value)
		}
		return out
	case []any:
		out := make([]any, len(b))
		for i, value := range b {
			out[i] = v.fill(value)
		}
		return out
	case []string:
		out := make([]any, len(b))
		for i, value := range b {
			out[i] = v.fillText(value)
		}
		return out
	}
	return body
}

// unknown are the names in a step that no former step saved.
func (v *values) unknown(s Step) []string {
	var names []string
	texts := []string{s.Path, s.Token, fmt.Sprint(s.Body), fmt.Sprint(s.Headers)}
	for _, text := range texts {
		for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
			if _, ok := v.byName[match[1]]; !ok {
				names = append(names, match[1])
			}
		}
	}
	return names
}
