// SPDX-License-Identifier: MPL-2.0

package proto_test

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// broken lists what a peer with the old descriptors would not understand of one with the new
// ones. Messages are compared by what they are made of: their names are not on the wire.
func broken(old, now *protoregistry.Files) []string {
	b := &breakage{seen: map[[2]protoreflect.FullName]bool{}}
	old.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			b.methods(file.Services().Get(i), now)
		}
		for i := range file.Messages().Len() {
			// The details of an error have their name on the wire.
			if was := file.Messages().Get(i); was.Name() == "Error" {
				d, err := now.FindDescriptorByName(was.FullName())
				if err != nil {
					b.add("%s is gone", was.FullName())
					continue
				}
				b.message(was, d.(protoreflect.MessageDescriptor))
			}
		}
		return true
	})
	return b.found
}

type breakage struct {
	seen  map[[2]protoreflect.FullName]bool
	found []string
}

func (b *breakage) add(format string, args ...any) {
	b.found = append(b.found, fmt.Sprintf(format, args...))
}

func (b *breakage) methods(was protoreflect.ServiceDescriptor, now *protoregistry.Files) {
	for i := range was.Methods().Len() {
		m := was.Methods().Get(i)
		d, err := now.FindDescriptorByName(m.FullName())
		if err != nil {
			b.add("%s is gone", m.FullName())
			continue
		}
		is := d.(protoreflect.MethodDescriptor)
		if m.IsStreamingClient() != is.IsStreamingClient() || m.IsStreamingServer() != is.IsStreamingServer() {
			b.add("%s streams in another way", m.FullName())
		}
		b.message(m.Input(), is.Input())
		b.message(m.Output(), is.Output())
	}
}

func (b *breakage) message(was, is protoreflect.MessageDescriptor) {
	pair := [2]protoreflect.FullName{was.FullName(), is.FullName()}
	if b.seen[pair] {
		return
	}
	b.seen[pair] = true
	for i := range was.Fields().Len() {
		f := was.Fields().Get(i)
		n := is.Fields().ByNumber(f.Number())
		what := fmt.Sprintf("%s: field %d (%s)", was.FullName(), f.Number(), f.Name())
		switch {
		case n == nil && is.ReservedRanges().Has(f.Number()):
			// Its zero value means what was true without it, and the number is not used again.
		case n == nil:
			b.add("%s is gone", what)
		case f.Cardinality() != n.Cardinality() || f.IsMap() != n.IsMap():
			b.add("%s has another cardinality", what)
		case f.HasPresence() != n.HasPresence() || (f.ContainingOneof() == nil) != (n.ContainingOneof() == nil):
			b.add("%s is present in another way", what)
		case f.Kind() == protoreflect.StringKind && n.Kind() == protoreflect.BytesKind:
			// The same bytes; a string only refuses some.
		case f.Kind() != n.Kind():
			b.add("%s has another type", what)
		case f.Message() != nil:
			b.message(f.Message(), n.Message())
		case f.Enum() != nil:
			b.values(f.Enum(), n.Enum())
		}
	}
	for i := range is.Fields().Len() {
		if n := is.Fields().Get(i); was.ReservedRanges().Has(n.Number()) {
			b.add("%s: field %d (%s) was another one before", was.FullName(), n.Number(), n.Name())
		}
	}
}

func (b *breakage) values(was, is protoreflect.EnumDescriptor) {
	for i := range was.Values().Len() {
		if v := was.Values().Get(i); is.Values().ByNumber(v.Number()) == nil {
			b.add("%s: value %d (%s) is gone", was.FullName(), v.Number(), v.Name())
		}
	}
}
