// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/hashicorp/go-sockaddr"
)

// fill is the inverse of tree. It sets v, which is zero, from a value that tree made.
func fill(v reflect.Value, from any) error {
	if from == nil {
		return nil
	}
	switch v.Type() {
	case timeType:
		return fillTime(v, from)
	case sockAddrType:
		return fillAddress(v, from)
	case certificateType:
		return fillCertificate(v, from)
	}
	switch v.Kind() {
	case reflect.Bool:
		b, ok := from.(bool)
		if !ok {
			return fmt.Errorf("%T is not a bool", from)
		}
		v.SetBool(b)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fillInteger(v, from)
	case reflect.Float32, reflect.Float64:
		return fillFloat(v, from)
	case reflect.String:
		s, err := fromText(from)
		v.SetString(s)
		return err
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), from)
	case reflect.Interface:
		return fillDynamic(v, from)
	case reflect.Slice:
		return fillSlice(v, from)
	case reflect.Map:
		return fillMap(v, from)
	case reflect.Struct:
		return fillStruct(v, from)
	}
	return fmt.Errorf("a value of type %s cannot be received", v.Type())
}

func fillTime(v reflect.Value, from any) error {
	raw, err := fromBase64(from)
	if err != nil {
		return err
	}
	var t time.Time
	if err := t.UnmarshalBinary(raw); err != nil {
		return err
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

func fillAddress(v reflect.Value, from any) error {
	s, err := fromText(from)
	if err != nil || s == "" {
		return err
	}
	a, err := sockaddr.NewSockAddr(s)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(sockaddr.SockAddrMarshaler{SockAddr: a}))
	return nil
}

func fillCertificate(v reflect.Value, from any) error {
	raw, err := fromBase64(from)
	if err != nil {
		return err
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		return fmt.Errorf("a certificate of the client: %w", err)
	}
	v.Set(reflect.ValueOf(c).Elem())
	return nil
}

func fillInteger(v reflect.Value, from any) error {
	n, ok := from.(json.Number)
	if !ok {
		return fmt.Errorf("%T is not a number", from)
	}
	if v.CanInt() {
		i, err := strconv.ParseInt(n.String(), 10, v.Type().Bits())
		v.SetInt(i)
		return err
	}
	u, err := strconv.ParseUint(n.String(), 10, v.Type().Bits())
	v.SetUint(u)
	return err
}

func fillFloat(v reflect.Value, from any) error {
	var s string
	switch f := from.(type) {
	case json.Number:
		s = f.String()
	case string: // NaN and infinities, which JSON has no numbers for
		s = f
	default:
		return fmt.Errorf("%T is not a number", from)
	}
	f, err := strconv.ParseFloat(s, v.Type().Bits())
	v.SetFloat(f)
	return err
}

func fillSlice(v reflect.Value, from any) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		raw, err := fromBase64(from)
		v.SetBytes(raw)
		return err
	}
	list, ok := from.([]any)
	if !ok {
		return fmt.Errorf("%T is not a list", from)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i := range list {
		if err := fill(v.Index(i), list[i]); err != nil {
			return err
		}
	}
	return nil
}

func fillMap(v reflect.Value, from any) error {
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	return eachEntry(from, func(key string, value any) error {
		e := reflect.New(t.Elem()).Elem()
		if err := fill(e, value); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), e)
		return nil
	})
}

// fillStruct ignores fields that it does not know, so that a newer sender is understood. It
// also ignores fields that must not be set from outside.
func fillStruct(v reflect.Value, from any) error {
	m, ok := from.(map[string]any)
	if !ok {
		return fmt.Errorf("%T is not an object", from)
	}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !carried(t, f) {
			continue
		}
		if err := fill(v.Field(i), m[f.Name]); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func fromBase64(from any) ([]byte, error) {
	s, ok := from.(string)
	if !ok {
		return nil, fmt.Errorf("%T is not a string", from)
	}
	return base64.StdEncoding.DecodeString(s)
}
