// SPDX-License-Identifier: MPL-2.0

// Package payload is the codec of both wires. A plugin passes payloads on and never reads them. So the codec copies a
// payload neither out of the message that brought it nor into the next message. The bytes on the wire are those of
// protobuf.
package payload

import (
	"slices"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
)

// Codec is gRPC's codec, except for messages with only a frame, a range or a chunk of a connection.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// Name is the name of gRPC's codec, because the bytes are the same.
func (Codec) Name() string { return grpcproto.Name }

// large is the size in bytes from which it is cheaper not to copy: a message in parts has its cost too.
const large = 32 << 10

// envelope says where the payload of a message is: in a field of its only inner message.
type envelope struct {
	outer protoreflect.FieldDescriptor
	inner protoreflect.FieldDescriptor
}

// payloads are the fields that the codec does not decode.
var payloads = map[protoreflect.FullName]protoreflect.Name{
	"common.v1.Frame": "payload", "common.v1.Range": "payload", "replication.v1.Chunk": "data",
}

// envelopeOf is the envelope of the field with a number, or of the first that has one if the number is 0.
func envelopeOf(m protoreflect.MessageDescriptor, number protowire.Number) (envelope, bool) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Message() == nil || f.Cardinality() == protoreflect.Repeated || number != 0 && f.Number() != number {
			continue
		}
		if name, ok := payloads[f.Message().FullName()]; ok {
			return envelope{f, f.Message().Fields().ByName(name)}, true
		}
	}
	return envelope{}, false
}

// Marshal implements [encoding.CodecV2]. Nobody may change the payload of a frame or a range after this call.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case interface{ GetFrame() *commonv1.Frame }:
		if f := m.GetFrame(); f != nil {
			head := &commonv1.Frame{After: f.GetAfter(), To: f.GetTo(), ConsistentFrom: f.GetConsistentFrom()}
			return around(v, head, f.GetPayload(), &commonv1.Frame{Proof: f.GetProof()})
		}
	case interface{ GetRange() *commonv1.Range }:
		if r := m.GetRange(); r != nil {
			head := &commonv1.Range{After: r.GetAfter(), UpTo: r.GetUpTo(), Last: r.GetLast(), Keys: r.GetKeys(),
				AsOf: r.GetAsOf()}
			return around(v, head, r.GetPayload(), &commonv1.Range{Proof: r.GetProof(), Left: r.GetLeft()})
		}
	}
	return standard().Marshal(v)
}

func standard() encoding.CodecV2 { return encoding.GetCodecV2(grpcproto.Name) }

// around encodes what is before a payload and what is after it. The payload stays where it is.
func around(v any, head proto.Message, payload []byte, tail proto.Message) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok || len(payload) < large {
		return standard().Marshal(v)
	}
	of, ok := envelopeOf(m.ProtoReflect().Descriptor(), 0)
	if !ok {
		return standard().Marshal(v)
	}
	before, err := proto.Marshal(head)
	if err != nil {
		return nil, err
	}
	after, err := proto.Marshal(tail)
	if err != nil {
		return nil, err
	}
	before = protowire.AppendTag(before, of.inner.Number(), protowire.BytesType)
	before = protowire.AppendVarint(before, uint64(len(payload)))
	begin := protowire.AppendTag(nil, of.outer.Number(), protowire.BytesType)
	begin = protowire.AppendVarint(begin, uint64(len(before)+len(payload)+len(after)))
	begin = append(begin, before...)
	return mem.BufferSlice{mem.SliceBuffer(begin), mem.SliceBuffer(payload), mem.SliceBuffer(after)}, nil
}

// Unmarshal implements [encoding.CodecV2]. The payload is a part of the buffer that the message came in.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok || data.Len() < large {
		return standard().Unmarshal(data, v)
	}
	if _, ok := envelopeOf(m.ProtoReflect().Descriptor(), 0); !ok {
		return standard().Unmarshal(data, v)
	}
	raw := data.Materialize()
	if cut(raw, m.ProtoReflect()) {
		return nil
	}
	return proto.Unmarshal(raw, m)
}

// cut reads a message that has one field, which has one payload. It says whether it was such a message.
func cut(raw []byte, m protoreflect.Message) bool {
	number, kind, n := protowire.ConsumeTag(raw)
	if n < 0 || kind != protowire.BytesType {
		return false
	}
	of, ok := envelopeOf(m.Descriptor(), number)
	inner, length := protowire.ConsumeBytes(raw[n:])
	if !ok || length < 0 || n+length != len(raw) {
		return false
	}
	var payload, rest []byte
	for at := 0; at < len(inner); {
		number, kind, n := protowire.ConsumeField(inner[at:])
		if n < 0 {
			return false
		}
		switch {
		case number != of.inner.Number():
			rest = append(rest, inner[at:at+n]...)
		case payload == nil && kind == protowire.BytesType:
			_, _, tag := protowire.ConsumeTag(inner[at:])
			payload, _ = protowire.ConsumeBytes(inner[at+tag : at+n])
			payload = slices.Clip(payload)
		default:
			return false
		}
		at += n
	}
	nested := m.NewField(of.outer)
	if proto.Unmarshal(rest, nested.Message().Interface()) != nil {
		return false
	}
	if payload != nil {
		nested.Message().Set(of.inner, protoreflect.ValueOfBytes(payload))
	}
	proto.Reset(m.Interface())
	m.Set(of.outer, nested)
	return true
}
