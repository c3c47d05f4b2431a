// SPDX-License-Identifier: MPL-2.0

package proto_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
)

// With -update this build becomes the last release: do that for a release, and never else.
var update = flag.Bool("update", false, "record the descriptors and the messages of this build as those of the last "+
	"release")

const (
	descriptorsFile = "testdata/released.binpb"
	// messagesFile has the messages that the last release makes, its name and its bytes in
	// hexadecimal form on a line.
	messagesFile = "testdata/released.txt"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		if err := record(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// A change of the wire that a peer of the last release would not understand is one of the
// protocol's version, and not a field more or less.
func TestWireIsThatOfTheLastRelease(t *testing.T) {
	t.Parallel()
	require.Empty(t, broken(released(t), protoregistry.GlobalFiles))
}

// What the last release sends is read here, and what is made of it is read there.
func TestMessagesOfTheLastReleaseArePlayed(t *testing.T) {
	t.Parallel()
	old := released(t)
	raw, err := os.ReadFile(messagesFile)
	require.NoError(t, err)
	lines := bufio.NewScanner(bytes.NewReader(raw))
	played := 0
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		sent, err := hex.DecodeString(text)
		require.NoError(t, err)
		kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
		require.NoError(t, err)
		here := kind.New().Interface()
		require.NoError(t, proto.Unmarshal(sent, here), name)
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(here)
		require.NoError(t, err)
		if len(here.ProtoReflect().GetUnknown()) == 0 {
			require.Equal(t, sent, again, name)
		}
		was, err := old.FindDescriptorByName(protoreflect.FullName(name))
		require.NoError(t, err)
		first, second := dynamicpb.NewMessage(was.(protoreflect.MessageDescriptor)),
			dynamicpb.NewMessage(was.(protoreflect.MessageDescriptor))
		require.NoError(t, proto.Unmarshal(sent, first))
		require.NoError(t, proto.Unmarshal(again, second), name)
		require.True(t, proto.Equal(first, second), name)
		played++
	}
	require.Greater(t, played, 80)
}

func TestBreakingChangesAreFound(t *testing.T) {
	t.Parallel()
	message := func(set *descriptorpb.FileDescriptorSet, name string) *descriptorpb.DescriptorProto {
		for _, f := range set.GetFile() {
			for _, m := range f.GetMessageType() {
				if f.GetPackage()+"."+m.GetName() == name {
					return m
				}
			}
		}
		t.Fatal(name)
		return nil
	}
	for want, change := range map[string]func(set *descriptorpb.FileDescriptorSet){
		"": func(set *descriptorpb.FileDescriptorSet) {
			m := message(set, "link.v1.HelloRequest")
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
				Name: proto.String("more"), Number: proto.Int32(1000),
				Type:  descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			})
		},
		"link.v1.HelloRequest: field 2 (set_id) is gone": func(set *descriptorpb.FileDescriptorSet) {
			m := message(set, "link.v1.HelloRequest")
			m.Field = append(m.Field[:1:1], m.Field[2:]...)
		},
		"link.v1.HelloResponse: field 6 (keys) has another type": func(set *descriptorpb.FileDescriptorSet) {
			message(set, "link.v1.HelloResponse").Field[5].Type = descriptorpb.FieldDescriptorProto_TYPE_SINT64.Enum()
		},
		"link.v1.DiffRequest: field 1 (question) has another cardinality": func(set *descriptorpb.FileDescriptorSet) {
			message(set, "link.v1.DiffRequest").Field[0].Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		},
		"replication.v1.PositionResponse: field 4 (again) was another one before": func(set *descriptorpb.FileDescriptorSet) {
			m := message(set, "replication.v1.PositionResponse")
			m.ReservedRange = nil
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
				Name: proto.String("again"), Number: proto.Int32(4),
				Type:  descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			})
		},
		"link.v1.Link.Hello is gone": func(set *descriptorpb.FileDescriptorSet) {
			for _, f := range set.GetFile() {
				if f.GetPackage() == "link.v1" {
					f.Service[0].Method = f.Service[0].Method[1:]
				}
			}
		},
		"link.v1.Link.Copy streams in another way": func(set *descriptorpb.FileDescriptorSet) {
			for _, f := range set.GetFile() {
				if f.GetPackage() == "link.v1" {
					f.Service[0].Method[2].ServerStreaming = nil
				}
			}
		},
	} {
		set := recorded(t)
		change(set)
		now, err := protodesc.NewFiles(set)
		require.NoError(t, err)
		require.Equal(t, want, strings.Join(broken(released(t), now), "\n"))
	}
}

func recorded(t *testing.T) *descriptorpb.FileDescriptorSet {
	raw, err := os.ReadFile(descriptorsFile)
	require.NoError(t, err)
	set := &descriptorpb.FileDescriptorSet{}
	require.NoError(t, proto.Unmarshal(raw, set))
	return set
}

func released(t *testing.T) *protoregistry.Files {
	files, err := protodesc.NewFiles(recorded(t))
	require.NoError(t, err)
	return files
}

// roots are what a peer can send or be sent: the messages of the methods, and the details
// of an error.
func roots() (services []protoreflect.ServiceDescriptor, messages []protoreflect.MessageDescriptor) {
	messages = append(messages, (*replicationv1.Error)(nil).ProtoReflect().Descriptor())
	seen := map[protoreflect.FullName]bool{}
	for _, file := range []protoreflect.FileDescriptor{linkv1.File_link_v1_link_proto,
		replicationv1.File_replication_v1_replication_proto} {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			services = append(services, s)
			for j := range s.Methods().Len() {
				for _, m := range []protoreflect.MessageDescriptor{s.Methods().Get(j).Input(), s.Methods().Get(j).Output()} {
					if !seen[m.FullName()] {
						seen[m.FullName()] = true
						messages = append(messages, m)
					}
				}
			}
		}
	}
	return services, messages
}

// record writes both files from this build.
func record() error {
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(linkv1.File_link_v1_link_proto)
	add(replicationv1.File_replication_v1_replication_proto)
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return err
	}
	if err := os.WriteFile(descriptorsFile, raw, 0o644); err != nil {
		return err
	}
	var text bytes.Buffer
	_, messages := roots()
	for _, d := range messages {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		if err != nil {
			return err
		}
		last := ""
		for pick := range 3 {
			m := kind.New()
			populate(m, pick)
			raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
			if err != nil {
				return err
			}
			if line := fmt.Sprintf("%s %x\n", d.FullName(), raw); line != last {
				text.WriteString(line)
				last = line
			}
		}
	}
	return os.WriteFile(messagesFile, text.Bytes(), 0o644)
}

// populate sets each field to a value of its own; of the fields of a oneof the picked one.
func populate(m protoreflect.Message, pick int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() && o.Fields().Get(pick%o.Fields().Len()) != f {
			continue
		}
		switch {
		case f.IsMap():
			entries := m.Mutable(f).Map()
			entries.Set(protoreflect.ValueOfString("key").MapKey(), scalar(f.MapValue()))
		case f.IsList() && f.Message() != nil:
			populate(m.Mutable(f).List().AppendMutable().Message(), pick)
		case f.IsList():
			m.Mutable(f).List().Append(scalar(f))
		case f.Message() != nil:
			populate(m.Mutable(f).Message(), pick)
		default:
			m.Set(f, scalar(f))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch n := int64(f.Number()); f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprint("text ", n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{'b', byte(n)})
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	default:
		panic(fmt.Sprintf("%s has a kind that is not made here: %s", f.FullName(), f.Kind()))
	}
}
