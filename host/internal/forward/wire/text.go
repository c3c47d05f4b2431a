// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// text turns a string into what JSON can hold. encoding/json replaces what is not UTF-8;
// paths, headers and raw bodies need not be UTF-8.
func text(s string) any {
	if utf8.ValidString(s) {
		return s
	}
	return map[string]any{"b": base64.StdEncoding.EncodeToString([]byte(s))}
}

func fromText(tree any) (string, error) {
	switch t := tree.(type) {
	case string:
		return t, nil
	case map[string]any:
		s, ok := t["b"].(string)
		if !ok {
			break
		}
		raw, err := base64.StdEncoding.DecodeString(s)
		return string(raw), err
	}
	return "", fmt.Errorf("%T is not a string", tree)
}

// object turns a map into what JSON can hold: a list of pairs when a key is not UTF-8.
func object(keys []string, values []any) any {
	for _, k := range keys {
		if !utf8.ValidString(k) {
			return pairs(keys, values)
		}
	}
	m := make(map[string]any, len(keys))
	for i, k := range keys {
		m[k] = values[i]
	}
	return m
}

func pairs(keys []string, values []any) any {
	list := make([]any, len(keys))
	for i, k := range keys {
		list[i] = []any{text(k), values[i]}
	}
	return list
}

// eachEntry calls fn for every entry of an encoded map.
func eachEntry(tree any, fn func(key string, value any) error) error {
	switch t := tree.(type) {
	case map[string]any:
		for k, v := range t {
			if err := fn(k, v); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for _, p := range t {
			pair, ok := p.([]any)
			if !ok || len(pair) != 2 {
				return fmt.Errorf("%T is not a pair", p)
			}
			k, err := fromText(pair[0])
			if err != nil {
				return err
			}
			if err := fn(k, pair[1]); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("%T is not a map", tree)
	}
}

// isNumber says whether encoding/json writes n unchanged. It refuses any other.
func isNumber(n json.Number) bool {
	if n == "" {
		return false
	}
	first, last := n[0], n[len(n)-1]
	return (first == '-' || digit(first)) && digit(last) && json.Valid([]byte(n))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
