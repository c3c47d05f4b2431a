// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/hashicorp/go-sockaddr"
)

// depthMax bounds how deep values are nested. A map that holds itself must end in an error. A
// list or object of a client counts up to three times. Vault's own bound for a client's JSON is 300,
// and a listener may raise it. encoding/json reads 10,000 levels at most.
const depthMax = 3000

var (
	timeType     = reflect.TypeFor[time.Time]()
	sockAddrType = reflect.TypeFor[sockaddr.SockAddrMarshaler]()
	anyType      = reflect.TypeFor[any]()
	// The cert method proves its logins with the certificates of the client.
	certificateType = reflect.TypeFor[x509.Certificate]()
)

// tree turns v into what encoding/json can write without loss. The reader knows the type of
// v; only a value in an interface{} tells its own.
func tree(v reflect.Value, depth int) (any, error) {
	if depth > depthMax {
		return nil, fmt.Errorf("values are nested deeper than %d levels, or hold themselves", depthMax)
	}
	switch v.Type() {
	case timeType:
		return timeTree(v.Interface().(time.Time))
	case sockAddrType:
		return addressTree(v.Interface().(sockaddr.SockAddrMarshaler))
	case certificateType:
		return base64.StdEncoding.EncodeToString(v.Addr().Interface().(*x509.Certificate).Raw), nil
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return json.Number(strconv.FormatInt(v.Int(), 10)), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return json.Number(strconv.FormatUint(v.Uint(), 10)), nil
	case reflect.Float32, reflect.Float64:
		return floatTree(v.Float()), nil
	case reflect.String:
		return text(v.String()), nil
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return tree(v.Elem(), depth+1)
	case reflect.Interface:
		if v.Type() == anyType {
			return dynamicTree(v.Interface(), depth+1)
		}
	case reflect.Slice:
		return sliceTree(v, depth)
	case reflect.Map:
		return mapTree(v, depth)
	case reflect.Struct:
		return structTree(v, depth)
	}
	return nil, fmt.Errorf("a value of type %s cannot be sent", v.Type())
}

// timeTree keeps the instant to the nanosecond and the offset, also in years that RFC 3339
// does not have.
func timeTree(t time.Time) (any, error) {
	raw, err := t.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

func addressTree(a sockaddr.SockAddrMarshaler) (any, error) {
	if a.SockAddr == nil {
		return "", nil
	}
	return text(a.SockAddr.String()), nil
}

func floatTree(f float64) any {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return s
	}
	return json.Number(s)
}

func sliceTree(v reflect.Value, depth int) (any, error) {
	if v.IsNil() {
		return nil, nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return base64.StdEncoding.EncodeToString(v.Bytes()), nil
	}
	list := make([]any, v.Len())
	for i := range list {
		var err error
		if list[i], err = tree(v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func mapTree(v reflect.Value, depth int) (any, error) {
	if v.IsNil() {
		return nil, nil
	}
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a map with keys of type %s cannot be sent", v.Type().Key())
	}
	keys, values := make([]string, 0, v.Len()), make([]any, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		value, err := tree(it.Value(), depth+1)
		if err != nil {
			return nil, err
		}
		keys, values = append(keys, it.Key().String()), append(values, value)
	}
	return object(keys, values), nil
}

// structTree has the exported fields that are not zero and not left out.
func structTree(v reflect.Value, depth int) (any, error) {
	t := v.Type()
	m := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !carried(t, f) || v.Field(i).IsZero() {
			continue
		}
		field, err := tree(v.Field(i), depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		m[f.Name] = field
	}
	return m, nil
}

func carried(t reflect.Type, f reflect.StructField) bool {
	_, out := leftOut[t][f.Name]
	return f.IsExported() && !out
}
