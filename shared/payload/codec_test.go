// SPDX-License-Identifier: MPL-2.0

package payload_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/mirror"
	"github.com/vault-replication/vault-replication/shared/payload"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func frame(size int) *commonv1.Frame {
	return &commonv1.Frame{After: 1, To: &commonv1.Position{Epoch: &commonv1.Epoch{Generation: 1, Id: "e"}, Sequence: 300},
		ConsistentFrom: 2, Payload: bytes.Repeat([]byte("x"), size), Proof: []byte("proof")}
}

func messages(size int) []proto.Message {
	r := &commonv1.Range{After: []byte("a\xff"), UpTo: []byte("b"), Last: true, Keys: 3, AsOf: 4,
		Payload: bytes.Repeat([]byte("y"), size), Proof: []byte("proof"), Left: 5}
	chunk := &replicationv1.Chunk{Data: bytes.Repeat([]byte("z"), size), Signal: replicationv1.Chunk_SIGNAL_FIN}
	return []proto.Message{
		&replicationv1.ReadJournalResponse{Frame: frame(size)}, &linkv1.StreamResponse{Frame: frame(size)},
		&replicationv1.ApplyFrameRequest{Frame: frame(size)}, &linkv1.CopyResponse{Range: r},
		&replicationv1.ReadRangeResponse{Range: r}, &replicationv1.ApplyRangeRequest{Range: r},
		&replicationv1.DialRequest{Message: &replicationv1.DialRequest_Chunk{Chunk: chunk}},
		&replicationv1.ServeConnResponse{Chunk: chunk},
		// These have something else, or nothing.
		&linkv1.StreamResponse{Demoted: true}, &linkv1.StreamResponse{}, &replicationv1.ReadJournalResponse{},
		&replicationv1.DialRequest{Message: &replicationv1.DialRequest_Target{
			Target: &replicationv1.DialTarget{Address: "a", CaCert: bytes.Repeat([]byte("c"), size)}}},
		&linkv1.ForwardRequest{Payload: bytes.Repeat([]byte("f"), size)},
	}
}

// pieces are data as it comes out of HTTP/2.
func pieces(data []byte) (out mem.BufferSlice) {
	for len(data) > 0 {
		n := min(len(data), 16<<10)
		out = append(out, mem.SliceBuffer(data[:n]))
		data = data[n:]
	}
	return out
}

func TestBytesAreThoseOfProtobuf(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 127, 128, 40 << 10} {
		for _, m := range messages(size) {
			want, err := proto.Marshal(m)
			require.NoError(t, err)
			got, err := payload.Codec{}.Marshal(m)
			require.NoError(t, err)
			require.Equal(t, want, append([]byte{}, got.Materialize()...), "%T", m)
			same := m.ProtoReflect().New().Interface()
			require.NoError(t, payload.Codec{}.Unmarshal(pieces(want), same))
			require.True(t, proto.Equal(m, same), "%T %v", m, same)
		}
	}
}

// inside is a message with a frame that is encoded so.
func inside(frame []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), frame)
}

// Whatever arrives is read as protobuf reads it.
func TestOtherEncodingsAreRead(t *testing.T) {
	t.Parallel()
	of := func(m proto.Message) []byte {
		raw, err := proto.Marshal(m)
		require.NoError(t, err)
		return raw
	}
	one := of(&linkv1.StreamResponse{Frame: frame(40 << 10)})
	two := of(&linkv1.StreamResponse{Frame: &commonv1.Frame{After: 7, Payload: []byte("other")}})
	for name, raw := range map[string][]byte{
		"a frame in two parts":    append(append([]byte{}, one...), two...),
		"a frame and more":        append(append([]byte{}, one...), of(&linkv1.StreamResponse{Demoted: true})...),
		"a field of later":        append(append([]byte{}, one...), 0xf8, 0x06, 0x01),
		"two payloads":            inside(append(of(frame(40<<10)), of(&commonv1.Frame{Payload: []byte("b")})...)),
		"a payload of later kind": inside(append(of(frame(40<<10)), 0x20, 0x01)),
		"a field inside of later": inside(append(of(frame(40<<10)), 0xf8, 0x06, 0x01)),
		"cut":                     one[:len(one)-3],
		"a length that is wrong":  append([]byte{0x0a, 0x7f}, one...),
		"nothing":                 nil,
	} {
		requireSame(t, name, raw)
	}
}

// requireSame reads a message with protobuf and with the codec.
func requireSame(t *testing.T, name string, raw []byte) {
	want, got := &linkv1.StreamResponse{}, &linkv1.StreamResponse{Demoted: true}
	wantErr, gotErr := proto.Unmarshal(raw, want), payload.Codec{}.Unmarshal(pieces(raw), got)
	require.Equal(t, wantErr == nil, gotErr == nil, "%s: %v %v", name, wantErr, gotErr)
	if wantErr == nil {
		require.True(t, proto.Equal(want, got), name)
	}
}

// What another cluster adds to a frame, in it or after it, is read as protobuf reads it.
func FuzzUnmarshal(f *testing.F) {
	within, err := proto.Marshal(frame(40 << 10))
	require.NoError(f, err)
	for _, raw := range [][]byte{nil, {0x10, 0x01}, {0x20, 0x01}, {0x22, 0x01, 'b'}, {0xf8, 0x06, 0x01}, {0x0a, 0x00}} {
		corpus.Add(f, raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		requireSame(t, "in it", inside(append(bytes.Clone(within), raw...)))
		requireSame(t, "after it", append(inside(within), raw...))
		requireSame(t, "before it", append(bytes.Clone(raw), inside(within)...))
	})
}

func TestPayloadIsNotCopied(t *testing.T) {
	t.Parallel()
	f := frame(40 << 10)
	sent, err := payload.Codec{}.Marshal(&linkv1.StreamResponse{Frame: f})
	require.NoError(t, err)
	require.Same(t, &f.GetPayload()[0], &sent[1].ReadOnlyData()[0])
}

// What a plugin does with a frame: bytes and allocations of each. The pieces of HTTP/2 are put together once.
func BenchmarkFrameThroughPlugin(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		raw, err := proto.Marshal(&replicationv1.ReadJournalResponse{Frame: frame(size)})
		require.NoError(b, err)
		for name, codec := range map[string]encoding.CodecV2{
			"grpc": encoding.GetCodecV2("proto"), "payload": payload.Codec{},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					in := &replicationv1.ReadJournalResponse{}
					require.NoError(b, codec.Unmarshal(pieces(raw), in))
					f := mirror.Value[replication.Frame](in.GetFrame())
					out, err := codec.Marshal(&linkv1.StreamResponse{Frame: mirror.Message[commonv1.Frame](f)})
					require.NoError(b, err)
					out.Free()
				}
			})
		}
	}
}
