// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A place names a value in an answer's body by its keys and indexes, with dots
// between them: "auth.client_token", "data.keys.0". "*" is every key or index.

// lookUp is the scalar at a place without "*".
func lookUp(body any, place string) (string, bool) {
	for _, part := range strings.Split(place, ".") {
		switch b := body.(type) {
		case map[string]any:
			value, ok := b[part]
			if !ok {
				return "", false
			}
			body = value
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(b) {
				return "", false
			}
			body = b[i]
		default:
			return "", false
		}
	}
	switch b := body.(type) {
	case string:
		return b, true
	case json.Number:
		return b.String(), true
	case bool:
		return strconv.FormatBool(b), true
	}
	return "", false
}

// change replaces the values at a place and says whether there was one.
func change(body any, place string, with func(any) any) bool {
	return changeParts(body, strings.Split(place, "."), with)
}

func changeParts(body any, parts []string, with func(any) any) (found bool) {
	each := func(value any, put func(any)) {
		if len(parts) == 1 {
			put(with(value))
			found = true
			return
		}
		found = changeParts(value, parts[1:], with) || found
	}
	switch b := body.(type) {
	case map[string]any:
		for key, value := range b {
			if parts[0] == "*" || parts[0] == key {
				each(value, func(v any) { b[key] = v })
			}
		}
	case []any:
		for i, value := range b {
			if parts[0] == "*" || parts[0] == strconv.Itoa(i) {
				each(value, func(v any) { b[i] = v })
			}
		}
	}
	return found
}

// kind is a value's type and whether it is there, without the value.
func kind(value any) any {
	switch v := value.(type) {
	case string:
		if v == "" {
			return ""
		}
		return "<text>"
	case json.Number:
		if v.String() == "0" {
			return v
		}
		return "<number>"
	case []any:
		if len(v) == 0 {
			return v
		}
		return "<list>"
	case map[string]any:
		if len(v) == 0 {
			return v
		}
		return "<object>"
	}
	return value
}

// remainingStep is how coarse a number of seconds that runs down is compared:
// longer than the longest run of a section, on a slow machine too.
const remainingStep = 600

// coarse rounds a number of seconds up.
func coarse(value any) any {
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	seconds, err := number.Int64()
	if err != nil || seconds <= 0 {
		return value
	}
	return fmt.Sprintf("<up to %d seconds>", (seconds+remainingStep-1)/remainingStep*remainingStep)
}
