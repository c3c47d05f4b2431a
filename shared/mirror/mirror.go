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
		setFields(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem())
	}
	return to
}

func setFields(dst, src reflect.Value) {
	for _, f := range counterparts(dst.Type(), src.Type()) {
		set(dst.Field(f.to), src.Field(f.from))
	}
}

// set copies src to dst, which is zero.
func set(dst, src reflect.Value) {
	if special(dst, src) || src.Kind() == reflect.Pointer && src.IsNil() {
		return
	}
	src = reflect.Indirect(src)
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		dst = dst.Elem()
	}
	switch {
	case dst.Kind() == reflect.Struct:
		setFields(dst, src)
	case dst.Kind() == reflect.String && src.Kind() == reflect.String:
		// Protobuf refuses text that is not UTF-8. A strange message must not turn an answer into a failure.
		dst.SetString(strings.ToValidUTF8(src.String(), "\uFFFD"))
	case dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() != reflect.Uint8:
		if src.Len() > 0 {
			dst.Set(reflect.MakeSlice(dst.Type(), src.Len(), src.Len()))
		}
		for i := range src.Len() {
			set(dst.Index(i), src.Index(i))
		}
	default:
		dst.Set(src.Convert(dst.Type()))
	}
}

// special sets dst where the two sides have types of their own for the same thing.
func special(dst, src reflect.Value) bool {
	var to any
	switch from := src.Interface().(type) {
	case time.Time:
		if !from.IsZero() {
			to = timestamppb.New(from)
		}
	case *timestamppb.Timestamp:
		if from != nil {
			to = from.AsTime()
		}
	case time.Duration:
		if from != 0 {
			to = durationpb.New(from)
		}
	case *durationpb.Duration:
		to = from.AsDuration()
	case *commonv1.Addresses: // no list is not the same as an empty one
		if from != nil {
			to = append([]string{}, from.GetClusterAddrs()...)
		}
	case []string:
		if dst.Type() != reflect.TypeFor[*commonv1.Addresses]() {
			return false
		}
		if from != nil {
			to = &commonv1.Addresses{ClusterAddrs: from}
		}
	default:
		return false
	}
	if to != nil {
		dst.Set(reflect.ValueOf(to))
	}
	return true
}

// counterpart is a field, and the field that it is copied from.
type counterpart struct{ to, from int }

// known has the counterparts of each pair of types.
var known sync.Map

func counterparts(dst, src reflect.Type) []counterpart {
	pair := [2]reflect.Type{dst, src}
	if fields, ok := known.Load(pair); ok {
		return fields.([]counterpart)
	}
	var fields []counterpart
	to, from := reflect.VisibleFields(dst), reflect.VisibleFields(src)
	for i, f := range to {
		for j, g := range from {
			if f.IsExported() && g.IsExported() && strings.EqualFold(f.Name, g.Name) {
				fields = append(fields, counterpart{i, j})
			}
		}
	}
	if len(fields) != exported(to) || len(fields) != exported(from) {
		panic(fmt.Sprintf("%s and %s do not have the same fields", dst, src))
	}
	known.Store(pair, fields)
	return fields
}

func exported(fields []reflect.StructField) (n int) {
	for _, f := range fields {
		if f.IsExported() {
			n++
		}
	}
	return n
}
