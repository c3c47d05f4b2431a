// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
)

// A relay stands between two ends that speak gRPC and writes down each message, byte by byte, in order.

// event is a message or the end of a call.
type event struct {
	at     int // its place among all events of the recording
	call   int
	method string
	// kind is > for a message of the caller, < for one to the caller, = for the end with its status.
	kind byte
	data []byte
}

// clock counts the events of all conversations of one recording.
type clock struct {
	mu        sync.Mutex
	at, calls int
}

// conversation is all that one connection carries.
type conversation struct {
	clock  *clock
	events []event
}

func (c *conversation) begin() int {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	c.clock.calls++
	return c.clock.calls
}

func (c *conversation) add(call int, method string, kind byte, data []byte) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	c.clock.at++
	c.events = append(c.events, event{c.clock.at, call, method, kind, bytes.Clone(data)})
}

// raw is a message as it was on the wire.
func raw(data []byte) *emptypb.Empty {
	m := &emptypb.Empty{}
	m.ProtoReflect().SetUnknown(data)
	return m
}

func bytesOf(m *emptypb.Empty) []byte { return m.ProtoReflect().GetUnknown() }

var bidi = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// rawService serves all methods of a service with one handler of raw messages.
func rawService(d protoreflect.ServiceDescriptor, handler grpc.StreamHandler) *grpc.ServiceDesc {
	desc := &grpc.ServiceDesc{ServiceName: string(d.FullName()), HandlerType: (*any)(nil)}
	for i := range d.Methods().Len() {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: string(d.Methods().Get(i).Name()), Handler: handler,
			ServerStreams: true, ClientStreams: true})
	}
	return desc
}

var (
	replicationService = replicationv1.File_replication_v1_replication_proto.Services().ByName("Replication")
	hostService        = replicationv1.File_replication_v1_replication_proto.Services().ByName("Host")
	linkService        = linkv1.File_link_v1_link_proto.Services().ByName("Link")
)

// streamsRequests says whether a call of a method has more than one request.
func streamsRequests(method string) bool {
	for _, s := range []protoreflect.ServiceDescriptor{replicationService, hostService, linkService} {
		if m := s.Methods().ByName(protoreflect.Name(method[strings.LastIndexByte(method, '/')+1:])); m != nil {
			return m.IsStreamingClient()
		}
	}
	return false
}

// tunnels says whether a method carries a connection. Only its beginning is written down: the connection has a relay of
// its own.
func tunnels(method string) bool {
	return method == replicationv1.Replication_ServeConn_FullMethodName ||
		method == replicationv1.Host_Dial_FullMethodName
}

// relay passes calls on to another connection. Before is told of each first message.
func (c *conversation) relay(to func(method string) (grpc.ClientConnInterface, error),
	before func(method string, m []byte)) grpc.StreamHandler {
	return func(_ any, in grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(in)
		call := c.begin()
		cc, err := to(method)
		if err != nil {
			return err
		}
		out, err := cc.NewStream(in.Context(), bidi, method)
		if err != nil {
			return err
		}
		go func() {
			for n := 0; ; n++ {
				m := &emptypb.Empty{}
				if in.RecvMsg(m) != nil {
					_ = out.CloseSend()
					return
				}
				if n == 0 && before != nil {
					before(method, bytesOf(m))
				}
				if n == 0 || !tunnels(method) {
					c.add(call, method, '>', bytesOf(m))
				}
				if out.SendMsg(m) != nil {
					return
				}
			}
		}()
		for n := 0; ; n++ {
			m := &emptypb.Empty{}
			if err := out.RecvMsg(m); err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				text, _ := proto.Marshal(status.Convert(err).Proto())
				c.add(call, method, '=', text)
				return err
			}
			if !tunnels(method) || n == 0 && method == replicationv1.Host_Dial_FullMethodName {
				c.add(call, method, '<', bytesOf(m))
			}
			if err := in.SendMsg(m); err != nil {
				return err
			}
		}
	}
}

// ends has what go-plugin gives to both sides of a plugin. The functions say what each side does with it.
type ends struct {
	plugin.NetRPCUnsupportedPlugin

	serve   func(broker *plugin.GRPCBroker, s *grpc.Server) error
	connect func(ctx context.Context, broker *plugin.GRPCBroker, cc *grpc.ClientConn) (any, error)
}

func (e *ends) GRPCServer(broker *plugin.GRPCBroker, s *grpc.Server) error { return e.serve(broker, s) }

func (e *ends) GRPCClient(ctx context.Context, broker *plugin.GRPCBroker, cc *grpc.ClientConn) (any, error) {
	return e.connect(ctx, broker, cc)
}

// dispense connects both ends.
func dispense(t *testing.T, e *ends) any {
	client, server := plugin.TestPluginGRPCConn(t, false, map[string]plugin.Plugin{grpcplugin.Name: e})
	t.Cleanup(func() { _ = client.Close(); <-server.DoneCh })
	got, err := client.Dispense(grpcplugin.Name)
	require.NoError(t, err)
	return got
}

// far is the host's end of a plugin.
type far struct {
	broker *plugin.GRPCBroker
	cc     *grpc.ClientConn
}

func keepFar(_ context.Context, broker *plugin.GRPCBroker, cc *grpc.ClientConn) (any, error) {
	return &far{broker, cc}, nil
}

// services returns the broker's ids at which a host serves, as its Attach says.
func services(t *testing.T, attach []byte) []uint32 {
	var req replicationv1.AttachRequest
	require.NoError(t, proto.Unmarshal(attach, &req))
	return []uint32{req.GetHostServiceId(), req.GetBulkServiceId()}
}

// serveHost serves a host's services with raw messages.
func (f *far) serveHost(ids []uint32, handler grpc.StreamHandler) {
	for _, id := range ids {
		go f.broker.AcceptAndServe(id, func(opts []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(opts...)
			s.RegisterService(rawService(hostService, handler), nil)
			return s
		})
	}
}

// recordedPlugin runs a plugin and its host with a relay between them.
func recordedPlugin(t *testing.T, c *conversation, p *grpcplugin.Plugin) *grpcplugin.Client {
	inner := dispense(t, &ends{serve: p.GRPCServer, connect: keepFar}).(*far)
	outer := &ends{connect: p.GRPCClient}
	outer.serve = func(broker *plugin.GRPCBroker, s *grpc.Server) error {
		to := func(string) (grpc.ClientConnInterface, error) { return inner.cc, nil }
		s.RegisterService(rawService(replicationService, c.relay(to, func(method string, m []byte) {
			if method != replicationv1.Replication_Attach_FullMethodName {
				return
			}
			ids := services(t, m)
			host := sync.OnceValues(func() (grpc.ClientConnInterface, error) { return broker.Dial(ids[0]) })
			inner.serveHost(ids, c.relay(func(string) (grpc.ClientConnInterface, error) { return host() }, nil))
		})), nil)
		return nil
	}
	return dispense(t, outer).(*grpcplugin.Client)
}

// oneConn is a listener of one connection.
type oneConn struct {
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

// serveLink serves the link protocol on a connection with raw messages.
func serveLink(conn net.Conn, handler grpc.StreamHandler) {
	l := &oneConn{conns: make(chan net.Conn, 1), ended: make(chan struct{})}
	l.conns <- &lastConn{Conn: conn, end: l}
	s := grpc.NewServer()
	s.RegisterService(rawService(linkService, handler), nil)
	_ = s.Serve(l)
}

type lastConn struct {
	net.Conn
	end *oneConn
}

func (c *lastConn) Close() error {
	_ = c.end.Close()
	return c.Conn.Close()
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.ended) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "link"} }

// write stores a conversation, an event on each line.
func (c *conversation) write(path string) error {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	var text bytes.Buffer
	for _, e := range c.events {
		fmt.Fprintf(&text, "%d %d %s %c %x\n", e.at, e.call, e.method, e.kind, e.data)
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// readConversations reads the files of a recording that have such a name, in order.
func readConversations(t *testing.T, pattern string) [][]event {
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var out [][]event
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var events []event
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			f := strings.Split(lines.Text(), " ")
			require.Len(t, f, 5)
			e := event{method: f[2], kind: f[3][0]}
			e.at, err = strconv.Atoi(f[0])
			require.NoError(t, err)
			e.call, err = strconv.Atoi(f[1])
			require.NoError(t, err)
			e.data, err = hex.DecodeString(f[4])
			require.NoError(t, err)
			events = append(events, e)
		}
		out = append(out, events)
	}
	return out
}
