// SPDX-License-Identifier: MPL-2.0

// Package mirror converts between values of package replication and the messages that carry them. A message has the
// fields of the contract's type under the same names, apart from spelling: ClusterID is cluster_id. So one conversion
// serves all types and cannot forget a field: if only one side has a field, the first conversion panics.
package mirror

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
)

// Message makes the wire form of a value of the contract. Payloads are not copied.
func Message[M, V any](v *V) *M { return of[M](v) }

// Value reads the wire form. A nil message is the zero value.
func Value[V, M any](m *M) *V { return of[V](m) }

func of[To, From any](from *From) *To {
	to := new(To)
	if from != nil {
		ofStructs(reflect.TypeFor[To](), reflect.TypeFor[From]())(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem())
	}
	return to
}

// conversion sets dst, which is zero, to what src has. What depends on the types alone is decided once: each frame and
// each range is converted in each process that it passes.
type conversion func(dst, src reflect.Value)

func between(dst, src reflect.Type) conversion {
	for _, s := range special {
		if s.dst == dst && s.src == src {
			return s.conversion
		}
	}
	switch {
	case src.Kind() == reflect.Pointer:
		convert := between(dst, src.Elem())
		return func(dst, src reflect.Value) {
			if !src.IsNil() {
				convert(dst, src.Elem())
			}
		}
	case dst.Kind() == reflect.Pointer:
		convert := between(dst.Elem(), src)
		return func(dst, src reflect.Value) {
			dst.Set(reflect.New(dst.Type().Elem()))
			convert(dst.Elem(), src)
		}
	case dst.Kind() == reflect.Struct:
		return ofStructs(dst, src)
	case dst.Kind() == reflect.String && src.Kind() == reflect.String:
		// Protobuf refuses text that is not UTF-8. A strange message must not turn an answer into a failure.
		return func(dst, src reflect.Value) { dst.SetString(strings.ToValidUTF8(src.String(), "\uFFFD")) }
	case dst.Kind() == reflect.Slice && dst.Elem().Kind() != reflect.Uint8:
		convert := between(dst.Elem(), src.Elem())
		return func(dst, src reflect.Value) {
			if src.Len() > 0 {
				dst.Set(reflect.MakeSlice(dst.Type(), src.Len(), src.Len()))
			}
			for i := range src.Len() {
				convert(dst.Index(i), src.Index(i))
			}
		}
	case dst == src:
		return reflect.Value.Set
	default:
		return func(dst, src reflect.Value) { dst.Set(src.Convert(dst.Type())) }
	}
}

// pair is two types for the same thing, and how one becomes the other.
type pair struct {
	dst, src reflect.Type
	conversion
}

func pairOf[To, From any](convert func(From) To) pair {
	return pair{reflect.TypeFor[To](), reflect.TypeFor[From](), func(dst, src reflect.Value) {
		dst.Set(reflect.ValueOf(convert(src.Interface().(From))))
	}}
}

var special = []pair{
	pairOf(func(t time.Time) *timestamppb.Timestamp {
		if t.IsZero() {
			return nil
		}
		return timestamppb.New(t)
	}),
	pairOf(func(t *timestamppb.Timestamp) time.Time {
		if t == nil {
			return time.Time{}
		}
		return t.AsTime()
	}),
	pairOf(func(d time.Duration) *durationpb.Duration {
		if d == 0 {
			return nil
		}
		return durationpb.New(d)
	}),
	pairOf((*durationpb.Duration).AsDuration),
	// No list is not the same as an empty one.
	pairOf(func(list []string) *commonv1.Addresses {
		if list == nil {
			return nil
		}
		return &commonv1.Addresses{ClusterAddrs: list}
	}),
	pairOf(func(m *commonv1.Addresses) []string {
		if m == nil {
			return nil
		}
		return append([]string{}, m.GetClusterAddrs()...)
	}),
}

// known has the conversion of each pair of structs.
var known sync.Map

func ofStructs(dst, src reflect.Type) conversion {
	pair := [2]reflect.Type{dst, src}
	if c, ok := known.Load(pair); ok {
		return c.(conversion)
	}
	type field struct {
		to, from int
		convert  conversion
	}
	var fields []field
	to, from := reflect.VisibleFields(dst), reflect.VisibleFields(src)
	for i, f := range to {
		for j, g := range from {
			if f.IsExported() && g.IsExported() && strings.EqualFold(f.Name, g.Name) {
				fields = append(fields, field{i, j, between(f.Type, g.Type)})
			}
		}
	}
	if len(fields) != exported(to) || len(fields) != exported(from) {
		panic(fmt.Sprintf("%s and %s do not have the same fields", dst, src))
	}
	c := conversion(func(dst, src reflect.Value) {
		for _, f := range fields {
			f.convert(dst.Field(f.to), src.Field(f.from))
		}
	})
	known.Store(pair, c)
	return c
}

func exported(fields []reflect.StructField) (n int) {
	for _, f := range fields {
		if f.IsExported() {
			n++
		}
	}
	return n
}
