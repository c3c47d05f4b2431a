// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// statusOf returns the status of an event of kind "=".
func statusOf(e event) *status.Status {
	s := status.New(codes.OK, "").Proto()
	if proto.Unmarshal(e.data, s) != nil {
		return status.New(codes.DataLoss, "the recording cannot be read")
	}
	return status.FromProto(s)
}

// answerer answers the calls of the end under test as its peer did when it was recorded.
type answerer struct {
	mu    sync.Mutex
	calls []*recordedCall
	// got are the messages of the end under test, by method.
	got map[string][][]byte
	// cursor is what a secondary's host has last said of it.
	cursor []byte
	// connected gets the connections of tunnels.
	connected func(method string, conn net.Conn)
	// ready, when set, waits until an answer may be sent.
	ready func(e event)
}

type recordedCall struct {
	method string
	events []event
	used   bool
}

// newAnswerer takes the calls of one service out of a conversation.
func newAnswerer(events []event, service string) *answerer {
	a := &answerer{got: map[string][][]byte{}}
	byID := map[int]*recordedCall{}
	for _, e := range events {
		if !ofService(e, service) {
			continue
		}
		if byID[e.call] == nil {
			byID[e.call] = &recordedCall{method: e.method}
			a.calls = append(a.calls, byID[e.call])
		}
		byID[e.call].events = append(byID[e.call].events, e)
	}
	return a
}

func ofService(e event, service string) bool {
	return bytes.HasPrefix([]byte(e.method), []byte("/"+service+"/"))
}

// find prefers a call with the same request, then one that was not answered yet. The last call answers any further
// requests.
func (a *answerer) find(method string, first []byte) *recordedCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	if method == replicationv1.Host_Cursor_FullMethodName && a.cursor != nil {
		return &recordedCall{method: method, events: []event{{kind: '>'}, {kind: '<', data: a.cursor}, {kind: '='}}}
	}
	var next, last *recordedCall
	for _, c := range a.calls {
		if c.method != method {
			continue
		}
		last = c
		if c.used {
			continue
		}
		if bytes.Equal(c.events[0].data, first) {
			c.used = true
			return c
		}
		if next == nil {
			next = c
		}
	}
	if next == nil {
		return last
	}
	next.used = true
	return next
}

func (a *answerer) note(method string, m []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got[method] = append(a.got[method], bytes.Clone(m))
}

func (a *answerer) said(method string, m []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch method {
	case replicationv1.Host_BeginCopy_FullMethodName, replicationv1.Host_ApplyRange_FullMethodName,
		replicationv1.Host_EndCopy_FullMethodName, replicationv1.Host_ApplyFrame_FullMethodName:
		a.cursor = m
	}
}

func (a *answerer) of(method string) [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got[method])
}

func (a *answerer) serve(_ any, st grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(st)
	first := &emptypb.Empty{}
	if err := st.RecvMsg(first); err != nil {
		return err
	}
	a.note(method, bytesOf(first))
	call := a.find(method, bytesOf(first))
	if call == nil {
		return status.Error(codes.Unimplemented, method)
	}
	for _, e := range call.events[1:] {
		switch e.kind {
		case '>':
			m := &emptypb.Empty{}
			if err := st.RecvMsg(m); err != nil {
				return err
			}
			a.note(method, bytesOf(m))
		case '<':
			if a.ready != nil {
				a.ready(e)
			}
			a.said(method, e.data)
			if err := st.SendMsg(raw(e.data)); err != nil {
				return err
			}
		case '=':
			if s := statusOf(e); !tunnels(method) && s.Code() != codes.Canceled && s.Code() != codes.Unavailable {
				return s.Err()
			}
		}
	}
	if tunnels(method) && a.connected != nil {
		conn := tunnel.NewConn(rawChunks{st}, tunnel.Options{})
		defer conn.Close()
		a.connected(method, conn)
	}
	<-st.Context().Done()
	return nil
}

// rawChunks are the chunks of a tunnel in raw messages: field 2 of the messages of Dial and of the requests of
// ServeConn, field 1 of the answers of ServeConn.
type rawChunks struct {
	stream interface {
		SendMsg(m any) error
		RecvMsg(m any) error
	}
}

func (c rawChunks) Send(chunk tunnel.Chunk) error {
	data, err := proto.Marshal(&replicationv1.ServeConnRequest{Message: &replicationv1.ServeConnRequest_Chunk{
		Chunk: &replicationv1.Chunk{Data: chunk.Data, Signal: replicationv1.Chunk_Signal(chunk.Signal)}}})
	if err != nil {
		return err
	}
	return c.stream.SendMsg(raw(data))
}

func (c rawChunks) Recv() (tunnel.Chunk, error) {
	m := &emptypb.Empty{}
	if err := c.stream.RecvMsg(m); err != nil {
		return tunnel.Chunk{}, err
	}
	var of interface{ GetChunk() *replicationv1.Chunk }
	answer, request := &replicationv1.ServeConnResponse{}, &replicationv1.ServeConnRequest{}
	if of = request; proto.Unmarshal(bytesOf(m), request) != nil || request.GetChunk() == nil {
		of = answer
		if err := proto.Unmarshal(bytesOf(m), answer); err != nil {
			return tunnel.Chunk{}, err
		}
	}
	chunk := of.GetChunk()
	return tunnel.Chunk{Data: chunk.GetData(), Signal: tunnel.Signal(chunk.GetSignal())}, nil
}

// caller makes the recorded calls of one conversation, message by message.
type caller struct {
	t   *testing.T
	ctx context.Context
	to  func(method string) grpc.ClientConnInterface
	// before is called before an event is played. If it returns false, the event is left out.
	before func(e event) bool
	// answered is called with each message of the end under test, or with the error in its place.
	answered func(e event, got []byte, err error)
	open     map[int]grpc.ClientStream
}

func (c *caller) play(e event) {
	c.t.Helper()
	if c.before != nil && !c.before(e) {
		return
	}
	if c.open == nil {
		c.open = map[int]grpc.ClientStream{}
	}
	st := c.open[e.call]
	switch e.kind {
	case '>':
		if st == nil {
			var err error
			st, err = c.to(e.method).NewStream(c.ctx, bidi, e.method)
			require.NoError(c.t, err)
			c.open[e.call] = st
		}
		require.NoError(c.t, st.SendMsg(raw(e.data)), e.method)
		if !streamsRequests(e.method) {
			require.NoError(c.t, st.CloseSend(), e.method)
		}
	case '<':
		m := &emptypb.Empty{}
		err := st.RecvMsg(m)
		c.answered(e, bytesOf(m), err)
	case '=':
		code := statusOf(e).Code()
		if !tunnels(e.method) && code != codes.Canceled && code != codes.Unavailable {
			err := st.RecvMsg(&emptypb.Empty{})
			if code == codes.OK {
				require.ErrorContains(c.t, err, "EOF", e.method)
			} else {
				require.Equal(c.t, code, status.Code(err), "%s: %v", e.method, err)
			}
		}
	}
}
