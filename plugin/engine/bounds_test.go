// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/primary"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// counted counts what is sent over a connection.
type counted struct {
	net.Conn
	sent atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// countedClient is a client with the bundle's certificate whose bytes are counted.
func countedClient(t *testing.T, h *enginetest.Host, data []byte) (linkv1.LinkClient, *trust.Bundle, *counted) {
	b, err := trust.DecodeBundle(data, time.Now())
	require.NoError(t, err)
	raw, err := h.Dial(t.Context(), b.DialRequest(primaryAddr))
	require.NoError(t, err)
	c := &counted{Conn: raw}
	conn, err := link.NewClientConn(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return linkv1.NewLinkClient(conn), b, c
}

// An unwanted peer, or one without a session, is refused before it has sent a large message.
func TestStrangersSendLittle(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		large := strings.Repeat("x", 8<<20)
		unlimited := grpc.MaxCallSendMsgSize(16 << 20)
		// What a stream may send before the other end has read anything.
		const window = 64 << 10

		revoked := p.token("gone")
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "gone"}))
		client, b, wire := countedClient(t, s.host, revoked)
		_, err := client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: large}, unlimited)
		require.Error(t, err)
		require.Less(t, wire.sent.Load(), int64(link.StrangerMax+window))

		// A peer whose message is small is told why it is refused.
		client, b, _ = countedClient(t, s.host, revoked)
		_, err = client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: b.SecondaryID})
		requireKind(t, replication.Denied, link.FromStatus(err), "was revoked")

		client, b, wire = countedClient(t, s.host, p.token("new"))
		_, err = client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: large}, unlimited)
		require.Error(t, err)
		require.Less(t, wire.sent.Load(), int64(link.StrangerMax+window))

		client, _, wire = countedClient(t, s.host, p.token("newer"))
		_, err = client.Forward(t.Context(), &linkv1.ForwardRequest{Payload: []byte(large)}, unlimited)
		require.Error(t, err)
		require.Less(t, wire.sent.Load(), int64(link.StrangerMax+window))

		// Many small ones are no more than one large one.
		client, b, wire = countedClient(t, s.host, p.token("newest"))
		hello := &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: "another set", SecondaryId: b.SecondaryID,
			Node: &linkv1.Node{ApiAddr: strings.Repeat("x", 32<<10)}}
		for err = nil; replication.KindOf(link.FromStatus(err)) != replication.Unreachable; {
			_, err = client.Hello(t.Context(), hello)
			require.Error(t, err)
		}
		require.Less(t, wire.sent.Load(), int64(link.StrangerMax+window))
	})
}

// A connection without a session has one call at a time.
func TestStrangersHaveOneStream(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		conn, _ := connectAs(t, s.host, p.token("new"))
		defer conn.Close()
		open := func() grpc.ClientStream {
			st, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, linkv1.Link_Hello_FullMethodName)
			require.NoError(t, err)
			return st
		}
		first := open()
		requireKind(t, replication.Unavailable, link.FromStatus(open().RecvMsg(&linkv1.HelloResponse{})),
			"one call at a time")
		require.NoError(t, first.SendMsg(&linkv1.HelloRequest{}))
		requireKind(t, replication.InvalidInput, link.FromStatus(first.RecvMsg(&linkv1.HelloResponse{})), "link protocol")
		again := open()
		require.NoError(t, again.SendMsg(&linkv1.HelloRequest{}))
		requireKind(t, replication.InvalidInput, link.FromStatus(again.RecvMsg(&linkv1.HelloResponse{})), "link protocol")
	})
}

// A secondary that says Hello again and again is slowed down: each Hello may cost writes to the primary's storage.
func TestHellosHaveAPace(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		data := p.token("eager")
		begun, slots := time.Now(), p.host.Count("OpenSlot")
		const hellos = 20
		for range hellos {
			client, b, done := dialAs(t, s.host, data)
			_, err := client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
				SecondaryId: b.SecondaryID, CopyWanted: true})
			require.NoError(t, err)
			done()
		}
		require.Equal(t, hellos, p.host.Count("OpenSlot")-slots)
		require.GreaterOrEqual(t, time.Since(begun), (hellos-primary.HelloBurst)*primary.HelloInterval)
		require.Less(t, time.Since(begun), 2*hellos*primary.HelloInterval)
	})
}

// If the addresses of a secondary change with each heartbeat, they are written only once in a while.
func TestAddressesAreWrittenOnceInAWhile(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		client, b, done := dialAs(t, s.host, p.token("restless"))
		defer done()
		_, err := client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: b.SecondaryID})
		require.NoError(t, err)
		before := p.host.Count("PutState")
		const minutes = 3
		var last string
		for i, end := 0, time.Now().Add(minutes*primary.NodeInterval); time.Now().Before(end); i++ {
			last = fmt.Sprintf("https://r%d.test:8201", i)
			_, err := client.Heartbeat(t.Context(), &linkv1.HeartbeatRequest{Node: &linkv1.Node{ClusterAddrs: []string{last}}})
			require.NoError(t, err)
			<-time.After(time.Second)
		}
		require.LessOrEqual(t, p.host.Count("PutState")-before, minutes+1)
		if n.mode == replication.DR {
			require.Contains(t, p.status().FailoverAddrs, last, "what is told is of now")
		}
	})
}
