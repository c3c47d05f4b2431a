// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func requireKind(t *testing.T, kind replication.Kind, err error, text string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, kind, replication.KindOf(err), err.Error())
	require.Contains(t, err.Error(), text)
}

func TestRevokedSecondaryIsCutAndRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		bundle := s.host.State()["secondary/bundle"]
		before := time.Now()
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}))
		p.host.Write("secret", "x")
		require.Empty(t, p.host.Slots())
		require.Empty(t, p.status().KnownSecondaries)
		eventually(t, time.Minute, "the reason is shown",
			func() bool { return strings.Contains(s.status().LastError, "was revoked") })
		require.Less(t, time.Since(before), 5*time.Second)
		require.Equal(t, replication.Idle, s.status().State)
		require.NotContains(t, s.host.Content(), "secret")

		p.restart()
		other := newCluster(t, n, "c", "https://c.test:8201")
		_, err := other.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "sec"})
		requireKind(t, replication.Denied, err, "was revoked")
		requireKind(t, replication.NotFound,
			p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}), "sec")

		// The id can be used again, its former certificate cannot.
		p.token("sec")
		require.Equal(t, []string{"sec"}, p.status().KnownSecondaries)
		_, err = other.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "sec"})
		requireKind(t, replication.Denied, err, "does not know this certificate")
	})
}

func TestRevocationDoesNotDependOnTheSlot(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.Fail("CloseSlot", replication.Errorf(replication.StorageFailed, "no space"))
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}))
		p.host.Write("secret", "x")
		eventually(t, time.Minute, "the reason is shown",
			func() bool { return strings.Contains(s.status().LastError, "was revoked") })
		require.NotContains(t, s.host.Content(), "secret")
		require.NotEmpty(t, p.host.Slots())
		p.host.Fail("CloseSlot", nil)
		p.restart()
		require.Empty(t, p.host.Slots(), "the next start ends what was left")
	})
}

func TestBundleIsForOneModeAndOneID(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		bundle := p.token("other")
		c := newCluster(t, n, "c", "https://c.test:8201")
		_, err := c.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "sec"})
		requireKind(t, replication.Denied, err, `for "other"`)
		other := map[replication.Mode]replication.Mode{replication.DR: replication.Performance,
			replication.Performance: replication.DR}[n.mode]
		c.cfg = engine.Config{Mode: other}
		c.restart()
		_, err = c.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "other"})
		requireKind(t, replication.InvalidInput, err, fmt.Sprintf("for %s replication, not for %s", n.mode, other))
		_, err = p.engine.SecondaryToken(t.Context(), replication.SecondaryTokenRequest{ID: "sec"})
		requireKind(t, replication.InvalidInput, err, "is connected")
		_, err = p.engine.SecondaryToken(t.Context(), replication.SecondaryTokenRequest{ID: "a/b"})
		requireKind(t, replication.InvalidInput, err, "'/'")
	})
}

// dialAs connects with the credentials of a bundle and nothing else.
func dialAs(t *testing.T, h *enginetest.Host, data []byte) (linkv1.LinkClient, *trust.Bundle, func()) {
	conn, b := connectAs(t, h, data)
	return linkv1.NewLinkClient(conn), b, func() { _ = conn.Close() }
}

func connectAs(t *testing.T, h *enginetest.Host, data []byte) (*grpc.ClientConn, *trust.Bundle) {
	b, err := trust.DecodeBundle(data, time.Now())
	require.NoError(t, err)
	raw, err := h.Dial(t.Context(), b.DialRequest(primaryAddr))
	require.NoError(t, err)
	conn, err := link.NewClientConn(raw)
	require.NoError(t, err)
	return conn, b
}

// A secondary of a later release names abilities that this one does not know. Both use what both know.
func TestLaterSecondaryIsAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		client, b, done := dialAs(t, s.host, p.token("later"))
		defer done()
		hello := &linkv1.HelloRequest{Version: link.ProtocolVersion + 1, OldestVersion: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: "later", Capabilities: []string{"unheard-of"}}
		resp, err := client.Hello(t.Context(), hello)
		require.NoError(t, err)
		require.EqualValues(t, link.ProtocolVersion, resp.GetVersion())
		require.Equal(t, link.Capabilities(), resp.GetCapabilities())
		hello.OldestVersion++
		_, err = client.Hello(t.Context(), hello)
		requireKind(t, replication.InvalidInput, link.FromStatus(err), "upgrade the primary")
	})
}

func TestCertificateOfAnotherSecondaryIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		client, b, done := dialAs(t, s.host, p.token("thief"))
		defer done()
		hello := &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID, SecondaryId: "sec"}
		_, err := client.Hello(t.Context(), hello)
		requireKind(t, replication.Denied, link.FromStatus(err), "cannot use another one's")
		_, err = client.Bootstrap(t.Context(), &linkv1.BootstrapRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: "sec"})
		requireKind(t, replication.Denied, link.FromStatus(err), "cannot use another one's")
		hello.SecondaryId, hello.SetId = "thief", "another set"
		_, err = client.Hello(t.Context(), hello)
		requireKind(t, replication.InvalidInput, link.FromStatus(err), "another replication set")
		hello.SetId, hello.Version = b.SetID, link.ProtocolVersion-1
		_, err = client.Hello(t.Context(), hello)
		requireKind(t, replication.InvalidInput, link.FromStatus(err), "upgrade the secondary")
		// Without a session nothing can be read.
		copying, err := client.Copy(t.Context(), &linkv1.CopyRequest{})
		require.NoError(t, err)
		_, err = copying.Recv()
		requireKind(t, replication.Unavailable, link.FromStatus(err), "session is over")
		_, err = client.Heartbeat(t.Context(), &linkv1.HeartbeatRequest{})
		requireKind(t, replication.Unavailable, link.FromStatus(err), "session is over")
		require.True(t, p.status().Secondaries[0].Connected, "the true one is not disturbed")
	})
}

func TestUnknownCertificateOfTheAuthorityIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		// Signed by the authority, but never recorded: a copy of an old backup.
		a, err := trust.DecodeAuthority(p.host.State()[trust.AuthorityKey])
		require.NoError(t, err)
		b, _, err := a.IssueBundle("sec", []string{primaryAddr}, time.Now())
		require.NoError(t, err)
		data, err := b.Encode()
		require.NoError(t, err)
		client, _, done := dialAs(t, s.host, data)
		defer done()
		_, err = client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: "sec"})
		requireKind(t, replication.Denied, link.FromStatus(err), "does not know this certificate")
	})
}

func TestServerCertificateIsNoClientAndClientNoServer(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		b, err := trust.DecodeBundle(s.host.State()["secondary/bundle"], time.Now())
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(b.ClientCert)
		require.NoError(t, err)
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, leaf.ExtKeyUsage)
		a, err := trust.DecodeAuthority(p.host.State()[trust.AuthorityKey])
		require.NoError(t, err)
		server, err := x509.ParseCertificate(a.ListenRequest().Cert)
		require.NoError(t, err)
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, server.ExtKeyUsage)
		require.NotContains(t, string(s.host.State()["secondary/bundle"]), "ca_key")
		var record map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(s.host.State()["secondary/bundle"], &record))
		require.NotContains(t, record, "ca_key")
	})
}

func TestNewerSessionReplacesTheOlder(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		// Another node of the secondary becomes active and connects.
		client, b, done := dialAs(t, s.host, s.host.State()["secondary/bundle"])
		defer done()
		begun := s.status().LastStart
		cursor, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		resp, err := client.Hello(t.Context(), &linkv1.HelloRequest{
			Version: link.ProtocolVersion, SetId: b.SetID, SecondaryId: "sec", Cursor: link.ToCursor(cursor),
		})
		require.NoError(t, err)
		require.Equal(t, linkv1.Decision_DECISION_RESUME, resp.GetDecision())
		eventually(t, time.Minute, "the older one comes back", func() bool { return s.status().LastStart.After(begun) })
		_, err = client.Heartbeat(t.Context(), &linkv1.HeartbeatRequest{})
		requireKind(t, replication.Unreachable, link.FromStatus(err), "connection to the primary failed")
	})
}

// A copy of a secondary, restored elsewhere, does not push the secondary out, and both hear of each other.
func TestCopyOfASecondaryIsRefusedBesideIt(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		client, b, done := dialAs(t, s.host, s.host.State()["secondary/bundle"])
		defer done()
		begun := s.status().LastStart
		cursor, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		hello := &linkv1.HelloRequest{
			Version: link.ProtocolVersion, SetId: b.SetID, SecondaryId: "sec", Cursor: link.ToCursor(cursor),
			Node: &linkv1.Node{ClusterAddr: "https://copy.test:8201"},
		}
		_, err = client.Hello(t.Context(), hello)
		requireKind(t, replication.Unavailable, link.FromStatus(err), "two clusters use the credentials")
		require.ErrorContains(t, err, "https://copy.test:8201")
		require.Equal(t, begun, s.status().LastStart, "the one that is there goes on")
		require.Contains(t, p.status().LastError, "two clusters use the credentials of the secondary \"sec\"")
		require.True(t, p.status().Secondaries[0].Connected)

		// The copy is accepted once the secondary is gone, and after a while the status no longer mentions it.
		s.die()
		eventually(t, time.Minute, "the copy is let in", func() bool {
			_, err := client.Hello(t.Context(), hello)
			return err == nil
		})
		eventually(t, 2*time.Minute, "it is forgotten", func() bool { return p.status().LastError == "" })
	})
}

func TestConnectionWithoutAPrimaryIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c := newCluster(t, n, "a", primaryAddr)
		near, far := net.Pipe()
		err := c.engine.ServeConn(context.Background(), far, replication.PeerInfo{})
		requireKind(t, replication.Unavailable, err, "not a "+string(n.mode)+" primary")
		_, err = near.Read(make([]byte, 1))
		require.Error(t, err)
	})
}

func TestSilentConnectionIsEnded(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		b, err := trust.DecodeBundle(p.token("silent"), time.Now())
		require.NoError(t, err)
		raw, err := s.host.Dial(t.Context(), b.DialRequest(primaryAddr))
		require.NoError(t, err)
		defer raw.Close()
		began := time.Now()
		for buf := make([]byte, 512); err == nil; {
			_, err = raw.Read(buf)
		}
		require.LessOrEqual(t, time.Since(began), 15*time.Second)
	})
}

// If several addresses were given, the error says what is wrong with each.
func TestAllAddressesThatDoNotAnswerAreNamed(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		_, err := s.engine.UpdatePrimary(t.Context(),
			replication.UpdatePrimaryRequest{Addrs: []string{"https://x.test:1", "https://y.test:2"}})
		requireKind(t, replication.Unreachable, err, "https://x.test:1")
		require.ErrorContains(t, err, "https://y.test:2")
	})
}

// The host refuses a peer that has the certificate of a secondary but not its pairing key. That peer displaces nobody:
// the secondary goes on, and nobody speaks in its name.
func TestACertificateAloneReplacesNoSession(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		thief, b, done := dialAs(t, s.host, s.host.State()["secondary/bundle"])
		defer done()
		p.host.Fail("OpenSlot", replication.Errorf(replication.Denied, "not proven"))
		for _, node := range []*linkv1.Node{{}, {ClusterAddr: s.status().Primaries[0].ClusterAddress}} {
			_, err := thief.Hello(t.Context(), &linkv1.HelloRequest{
				Version: link.ProtocolVersion, SetId: b.SetID, SecondaryId: "sec", Node: node,
			})
			require.Error(t, err)
			_, err = thief.Heartbeat(t.Context(), &linkv1.HeartbeatRequest{
				Node: &linkv1.Node{ClusterAddr: "https://elsewhere.test:8201"},
			})
			require.Error(t, err)
			p.host.Write("later", "x")
			awaitEqual(t, p, s)
		}
		require.NotContains(t, p.status().Secondaries[0].ClusterAddress, "elsewhere")
		p.host.Fail("OpenSlot", nil)
	})
}
