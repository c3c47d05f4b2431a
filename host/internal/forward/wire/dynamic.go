// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// The keys of a tagged value. The names of types are part of the format.
const (
	tagKey   = "$"
	valueKey = "v"
)

// tagged lists the types that JSON does not have and that a value in an interface{} keeps
// over the wire. Vault's core and its backends assert some of them (an int status code, a []byte
// body, []string keys). The others cost nothing.
var tagged = map[string]reflect.Type{
	"string":   reflect.TypeFor[string](), // not UTF-8
	"number":   reflect.TypeFor[json.Number](),
	"int":      reflect.TypeFor[int](),
	"int8":     reflect.TypeFor[int8](),
	"int16":    reflect.TypeFor[int16](),
	"int32":    reflect.TypeFor[int32](),
	"int64":    reflect.TypeFor[int64](),
	"uint":     reflect.TypeFor[uint](),
	"uint8":    reflect.TypeFor[uint8](),
	"uint16":   reflect.TypeFor[uint16](),
	"uint32":   reflect.TypeFor[uint32](),
	"uint64":   reflect.TypeFor[uint64](),
	"float32":  reflect.TypeFor[float32](),
	"float64":  reflect.TypeFor[float64](),
	"duration": reflect.TypeFor[time.Duration](),
	"time":     reflect.TypeFor[time.Time](),
	"bytes":    reflect.TypeFor[[]byte](),
	"json":     reflect.TypeFor[json.RawMessage](),
	"strings":  reflect.TypeFor[[]string](),
	"ints":     reflect.TypeFor[[]int](),
	"int64s":   reflect.TypeFor[[]int64](),
	"floats":   reflect.TypeFor[[]float64](),
	"bools":    reflect.TypeFor[[]bool](),
	"byteses":  reflect.TypeFor[[][]byte](),
	"maps":     reflect.TypeFor[[]map[string]any](),
	"smaps":    reflect.TypeFor[[]map[string]string](),
	"smap":     reflect.TypeFor[map[string]string](),
	"lmap":     reflect.TypeFor[map[string][]string](),
	"imap":     reflect.TypeFor[map[string]int](),
	"i64map":   reflect.TypeFor[map[string]int64](),
	"bmap":     reflect.TypeFor[map[string]bool](),
	"mmap":     reflect.TypeFor[map[string]map[string]any](),
	"header":   reflect.TypeFor[http.Header](),
	"token":    reflect.TypeFor[logical.TokenType](),
	"list":     reflect.TypeFor[[]any](),          // nil
	"map":      reflect.TypeFor[map[string]any](), // nil, or one with the key "$"
}

var tags = func() map[reflect.Type]string {
	m := make(map[reflect.Type]string, len(tagged))
	for name, t := range tagged {
		m[t] = name
	}
	return m
}()

// errorTag marks an error that is a value, as in logical.Response.Error.
const errorTag = "error"

// dynamicTree is the tree of a value that says its own type.
func dynamicTree(v any, depth int) (any, error) {
	if v == nil {
		return nil, nil
	}
	if n, ok := v.(json.Number); ok && isNumber(n) {
		return n, nil
	}
	if err, ok := v.(error); ok {
		f, treeErr := tree(reflect.ValueOf(describe(err)), depth+1)
		return map[string]any{tagKey: errorTag, valueKey: f}, treeErr
	}
	name, known := tags[reflect.TypeOf(v)]
	if !known && reflect.TypeOf(v) != reflect.TypeFor[bool]() {
		return jsonTree(v, depth)
	}
	t, err := tree(reflect.ValueOf(v), depth+1)
	if err != nil || natural(v, t) {
		return t, err
	}
	return map[string]any{tagKey: name, valueKey: t}, nil
}

// natural says whether JSON alone tells the type of v, whose tree is t.
func natural(v, t any) bool {
	switch x := v.(type) {
	case bool:
		return true
	case string:
		_, plain := t.(string)
		return plain
	case []any:
		return x != nil
	case map[string]any:
		_, escape := x[tagKey]
		_, plain := t.(map[string]any)
		return plain && !escape
	}
	return false
}

// jsonTree is for types that are not in the table.
func jsonTree(v any, depth int) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("a value of type %T cannot be sent: %w", v, err)
	}
	plain, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return dynamicTree(plain, depth+1)
}

// fillDynamic is the inverse of dynamicTree.
func fillDynamic(v reflect.Value, from any) error {
	if v.Type() != anyType {
		return fmt.Errorf("a value of type %s cannot be received", v.Type())
	}
	value, err := fromDynamic(from)
	if err == nil && value != nil {
		v.Set(reflect.ValueOf(value))
	}
	return err
}

func fromDynamic(from any) (any, error) {
	switch t := from.(type) {
	case []any:
		list := []any{}
		err := fill(reflect.ValueOf(&list).Elem(), t)
		return list, err
	case map[string]any:
		if tag, ok := t[tagKey]; ok {
			return fromTagged(tag, t[valueKey])
		}
		m := map[string]any{}
		err := fill(reflect.ValueOf(&m).Elem(), t)
		return m, err
	default:
		return from, nil
	}
}

func fromTagged(tag, from any) (any, error) {
	name, _ := tag.(string)
	if name == errorTag {
		var f *fault
		if err := fill(reflect.ValueOf(&f).Elem(), from); err != nil {
			return nil, err
		}
		return f.restore(), nil
	}
	t, ok := tagged[name]
	if !ok {
		return nil, fmt.Errorf("a value has the type %v, which this version does not know: run the same version on both "+
			"clusters", tag)
	}
	v := reflect.New(t).Elem()
	err := fill(v, from)
	return v.Interface(), err
}

// parse reads one JSON value and keeps the digits of its numbers.
func parse(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one JSON value")
	}
	return v, nil
}
