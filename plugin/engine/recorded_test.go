// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// eachRecording runs a test with the messages of each former release.
func eachRecording(t *testing.T, test func(t *testing.T, dir string)) {
	t.Parallel()
	dirs, err := os.ReadDir(recordings)
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			test(t, filepath.Join(recordings, d.Name()))
		})
	}
}

// present is the plugin of this build with a recorded host.
func present(t *testing.T, host *answerer, ids []uint32) *far {
	p := &grpcplugin.Plugin{Factory: func(h replication.Host, l hclog.Logger) replication.Backend {
		return engine.New(engine.Config{Mode: replication.DR}, h, l)
	}}
	f := dispense(t, &ends{serve: p.GRPCServer, connect: keepFar}).(*far)
	f.serveHost(ids, host.serve)
	return f
}

const replicationName, hostName, linkName = "replication.v1.Replication", "replication.v1.Host", "link.v1.Link"

// sent are the messages of a method and a kind.
func sent(events []event, method string, kind byte) [][]byte {
	var out [][]byte
	for _, e := range events {
		if e.method == method && e.kind == kind {
			out = append(out, e.data)
		}
	}
	return out
}

// upTo are the events before one.
func upTo(events []event, e event) []event {
	return slices.DeleteFunc(slices.Clone(events), func(other event) bool { return other.at >= e.at })
}

// acknowledged is the last sequence in requests of AckSlot.
func acknowledged(t *testing.T, requests [][]byte) (last uint64) {
	for _, m := range requests {
		ack := &replicationv1.AckSlotRequest{}
		require.NoError(t, proto.Unmarshal(m, ack))
		last = max(last, ack.GetAt().GetSequence())
	}
	return last
}

// hears says whether a recorded secondary has said that it can hear of a demotion.
func hears(t *testing.T, events []event) bool {
	for _, m := range sent(events, linkv1.Link_Hello_FullMethodName, '>') {
		req := &linkv1.HelloRequest{}
		require.NoError(t, proto.Unmarshal(m, req))
		return slices.Contains(req.GetCapabilities(), link.Farewell)
	}
	return false
}

// A primary of this build has a host and a secondary of a former one.
func TestPrimaryWithFormerPeers(t *testing.T) {
	eachRecording(t, func(t *testing.T, dir string) {
		events := readConversations(t, dir+"/primary.txt")[0]
		links := readConversations(t, dir+"/link-*.txt")
		attach := sent(events, replicationv1.Replication_Attach_FullMethodName, '>')
		host := newAnswerer(events, hostName)
		f := present(t, host, services(t, attach[0]))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		opened, frames := 0, [][]byte{}
		of := map[int]*caller{} // of each call
		to := []*caller{}
		asHost := &caller{t: t, ctx: ctx, to: func(string) grpc.ClientConnInterface { return f.cc },
			answered: func(e event, _ []byte, err error) { require.NoError(t, err, e.method) }}
		asHost.before = func(e event) bool {
			if e.kind == '>' {
				want := acknowledged(t, sent(upTo(events, e), replicationv1.Host_AckSlot_FullMethodName, '>'))
				later(t, "what was acknowledged arrives at the host", func() bool {
					return acknowledged(t, host.of(replicationv1.Host_AckSlot_FullMethodName)) >= want
				})
			}
			if e.method != replicationv1.Replication_ServeConn_FullMethodName {
				return true
			}
			if e.kind != '>' {
				return false
			}
			st, err := f.cc.NewStream(ctx, bidi, e.method)
			require.NoError(t, err)
			require.NoError(t, st.SendMsg(raw(e.data)))
			conn, err := link.NewClientConn(tunnel.NewConn(rawChunks{st}, tunnel.Options{}))
			require.NoError(t, err)
			farewell := hears(t, links[opened])
			c := &caller{t: t, ctx: ctx, to: func(string) grpc.ClientConnInterface { return conn },
				answered: func(e event, got []byte, err error) {
					if e.method != linkv1.Link_Stream_FullMethodName {
						require.NoError(t, err, e.method)
						return
					}
					m := &linkv1.StreamResponse{}
					require.NoError(t, proto.Unmarshal(e.data, m))
					switch {
					case m.GetFrame() != nil:
						require.NoError(t, err)
						frames = append(frames, got)
					case farewell:
						require.NoError(t, err)
						require.Equal(t, e.data, got)
					default:
						require.Error(t, err, "a secondary that cannot hear it is not told of the demotion")
					}
				}}
			to = append(to, c)
			for _, e := range links[opened] {
				of[e.call] = c
			}
			opened++
			return false
		}
		all := slices.Concat(append(links, events)...)
		all = slices.DeleteFunc(all, func(e event) bool { return ofService(e, hostName) })
		slices.SortFunc(all, func(a, b event) int { return a.at - b.at })
		for _, e := range all {
			if c := of[e.call]; ofService(e, linkName) {
				c.play(e)
			} else {
				asHost.play(e)
			}
		}
		require.Len(t, to, 2)
		recorded := sent(events, replicationv1.Host_ReadJournal_FullMethodName, '<')[1:]
		require.Equal(t, len(recorded), len(frames))
		for i := range frames {
			require.Equal(t, recorded[i], frames[i], "a frame has passed as it was")
		}
		require.EqualValues(t, 8, acknowledged(t, host.of(replicationv1.Host_AckSlot_FullMethodName)))
		require.NotEmpty(t, host.of(replicationv1.Host_Receive_FullMethodName))
	})
}

// compares says whether a recorded host has said that it can compare.
func compares(t *testing.T, attach []byte) bool {
	req := &replicationv1.AttachRequest{}
	require.NoError(t, proto.Unmarshal(attach, req))
	return slices.Contains(req.GetCapabilities(), "compare")
}

// A secondary of this build has a host and a primary of a former one.
func TestSecondaryWithFormerPeers(t *testing.T) {
	eachRecording(t, func(t *testing.T, dir string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		events := readConversations(t, dir+"/secondary.txt")[0]
		links := readConversations(t, dir+"/link-*.txt")
		attach := sent(events, replicationv1.Replication_Attach_FullMethodName, '>')
		host := newAnswerer(events, hostName)
		primaries := make(chan *answerer, len(links))
		// Messages that the primary sends by itself keep their place among the calls of the host.
		calls := slices.DeleteFunc(slices.Clone(events), func(e event) bool { return !ofService(e, replicationName) })
		var played atomic.Int64
		for _, l := range links {
			p := newAnswerer(l, linkName)
			p.ready = func(e event) {
				before := len(upTo(calls, e))
				for e.method == linkv1.Link_Stream_FullMethodName && int(played.Load()) < before && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			}
			primaries <- p
		}
		opened := make(chan *answerer, len(links))
		host.connected = func(_ string, conn net.Conn) {
			select {
			case p := <-primaries:
				opened <- p
				serveLink(conn, p.serve)
			default: // the session has ended, and the recording with it
			}
		}
		f := present(t, host, services(t, attach[0]))
		c := &caller{t: t, ctx: ctx, to: func(string) grpc.ClientConnInterface { return f.cc }}
		c.answered = func(e event, _ []byte, err error) { require.NoError(t, err, e.method) }
		applied := []string{replicationv1.Host_ApplyRange_FullMethodName, replicationv1.Host_ApplyFrame_FullMethodName}
		c.before = func(e event) bool {
			for _, method := range applied {
				before := len(sent(upTo(events, e), method, '>'))
				later(t, method, func() bool { return len(host.of(method)) >= before })
			}
			return true
		}
		for _, e := range calls {
			c.play(e)
			played.Add(1)
		}
		for _, method := range applied {
			require.Equal(t, sent(events, method, '>'), host.of(method), "a payload has passed as it was")
		}
		<-opened
		session := <-opened
		if !compares(t, attach[0]) {
			require.Empty(t, host.of(replicationv1.Host_Diff_FullMethodName), "a host that cannot compare is not asked to")
		}
		require.Equal(t, sent(links[1], linkv1.Link_Stream_FullMethodName, '>'),
			session.of(linkv1.Link_Stream_FullMethodName), "what was applied is acknowledged")
	})
}

// A host of this build has the plugin of a former build, as a primary and as a secondary.
func TestHostWithFormerPlugin(t *testing.T) {
	eachRecording(t, func(t *testing.T, dir string) {
		events := readConversations(t, dir+"/primary.txt")[0]
		network := enginetest.NewNetwork()
		a := fresh(network)
		a.OnReceive(func(context.Context, string, []byte) ([]byte, error) { return []byte("answer"), nil })
		frames, written := 0, 0
		formerPlugin(t, events, a, func(e event) bool {
			recorded := &replicationv1.ReadJournalResponse{}
			if e.method != replicationv1.Host_ReadJournal_FullMethodName || e.kind != '<' {
				return true
			}
			require.NoError(t, proto.Unmarshal(e.data, recorded))
			if recorded.GetFrame() != nil {
				a.Write(fmt.Sprintf("live-%d", written), "second")
				written++
			}
			return true
		}, func(e event, got []byte) {
			if e.method == replicationv1.Host_ReadJournal_FullMethodName {
				require.Equal(t, string(e.data), string(got), "a frame")
				frames++
			}
		})
		require.Equal(t, 4, frames, "the answer to the start among them")
		require.EqualValues(t, 8, a.Slots()["sec"])

		b := &deaf{enginetest.NewHost(network, "b", secondaryAddr)}
		formerPlugin(t, readConversations(t, dir+"/secondary.txt")[0], b, func(event) bool { return true },
			func(event, []byte) {})
		require.True(t, maps.Equal(a.Content(), b.Content()), "%v", b.Content())
	})
}

// deaf reaches other clusters, which never answer.
type deaf struct{ *enginetest.Host }

func (deaf) Dial(context.Context, replication.DialRequest) (net.Conn, error) {
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	return near, nil
}

// formerPlugin attaches the host of this build to a recorded plugin and makes the calls of both sides.
func formerPlugin(t *testing.T, events []event, host replication.Host, before func(event) bool,
	answered func(e event, got []byte)) {
	attached := make(chan *grpc.ClientConn, 1)
	self := newAnswerer(events, replicationName)
	real := &grpcplugin.Plugin{Host: host, PluginName: "former"}
	p := &ends{connect: real.GRPCClient}
	p.serve = func(broker *plugin.GRPCBroker, s *grpc.Server) error {
		s.RegisterService(rawService(replicationService, func(srv any, st grpc.ServerStream) error {
			return self.serve(srv, &noticed{st, func(m []byte) {
				conn, err := broker.Dial(services(t, m)[0])
				if err == nil {
					attached <- conn
				}
			}})
		}), nil)
		return nil
	}
	c := dispense(t, p).(*grpcplugin.Client)
	conn := <-attached
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.Status(ctx)
	require.NoError(t, err)
	require.NoError(t, c.Start(ctx, replication.StartRequest{Role: replication.Primary}))
	calls := &caller{t: t, ctx: ctx, before: before, to: func(string) grpc.ClientConnInterface { return conn },
		answered: func(e event, got []byte, err error) {
			require.NoError(t, err, e.method)
			answered(e, got)
		}}
	for _, e := range events {
		if ofService(e, hostName) {
			calls.play(e)
		}
	}
	require.NoError(t, c.Stop(ctx))
}

// noticed tells of the request of Attach.
type noticed struct {
	grpc.ServerStream
	attach func(m []byte)
}

func (n *noticed) RecvMsg(m any) error {
	err := n.ServerStream.RecvMsg(m)
	method, _ := grpc.MethodFromServerStream(n.ServerStream)
	if e, ok := m.(proto.Message); ok && err == nil && method == replicationv1.Replication_Attach_FullMethodName {
		n.attach(e.ProtoReflect().GetUnknown())
	}
	return err
}
