// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const forwarding = "req_fw_sb-act_v1"

// other stands for a handler of Vault's own, such as request forwarding: a root of
// trust of its own, and no look at what it is handed.
type other struct {
	ca   *x509.Certificate
	cert *tls.Certificate
	got  chan *tls.Conn
}

func newOther(t *testing.T, a *authority) *other {
	t.Helper()
	cert, key := a.issue(t, "primary", x509.ExtKeyUsageServerAuth)
	pair, err := keyPair(cert, key)
	require.NoError(t, err)
	return &other{ca: a.cert, cert: pair, got: make(chan *tls.Conn, 8)}
}

func (h *other) ServerLookup(context.Context, *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return h.cert, nil
}
func (h *other) CALookup(context.Context) ([]*x509.Certificate, error) {
	return []*x509.Certificate{h.ca}, nil
}
func (h *other) Handoff(_ context.Context, _ *sync.WaitGroup, _ chan struct{}, c *tls.Conn) error {
	h.got <- c
	_, err := c.Write([]byte("x"))
	return err
}
func (h *other) Stop() error { return nil }

// client is a TLS client of the port with a certificate of an authority. Meanwhile runs
// when the server's certificate has arrived and the client's has not been sent.
func client(t *testing.T, addr string, server, a *authority, meanwhile func(), protocols ...string) error {
	t.Helper()
	cert, key := a.issue(t, "secondary", x509.ExtKeyUsageClientAuth)
	mine, err := keyPair(cert, key)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(server.cert)
	raw, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer raw.Close()
	require.NoError(t, raw.SetDeadline(time.Now().Add(20*time.Second)))
	conn := tls.Client(raw, &tls.Config{
		RootCAs: roots, ServerName: "primary", NextProtos: protocols,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			meanwhile()
			return mine, nil
		},
	})
	if err := conn.Handshake(); err != nil {
		return err
	}
	// Who was let in hears something.
	_, err = conn.Read(make([]byte, 1))
	return err
}

// No ordering of a ClientHello, a stalled handshake and handlers that come, go and are
// replaced hands a connection to a handler that has not verified it.
func TestAConnectionGoesToTheHandlerThatVerifiedIt(t *testing.T) {
	t.Parallel()
	alpn := replication.DR.ALPN()
	nothing := func() {}
	for name, tt := range map[string]struct {
		offers []string
		// before and meanwhile say what is registered.
		before, meanwhile func(l *vaultcluster.Listener, set, local *other)
		let               bool
	}{
		"the protocol of the set": {
			offers: []string{alpn},
			before: func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
			let:    true,
		},
		"another protocol beside it, which comes back": {
			offers:    []string{forwarding, alpn},
			before:    func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
			meanwhile: func(l *vaultcluster.Listener, _, local *other) { l.AddHandler(forwarding, local) },
		},
		"another protocol beside it, which is there": {
			offers: []string{alpn, forwarding},
			before: func(l *vaultcluster.Listener, set, local *other) {
				l.AddHandler(alpn, set)
				l.AddHandler(forwarding, local)
			},
		},
		"the other mode's protocol beside it": {
			offers: []string{replication.Performance.ALPN(), alpn},
			before: func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
			meanwhile: func(l *vaultcluster.Listener, _, local *other) {
				l.AddHandler(replication.Performance.ALPN(), local)
			},
		},
		"the protocol twice": {
			offers: []string{alpn, alpn},
			before: func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
		},
		"no protocol": {
			before: func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
		},
		"a handler that is replaced in the handshake": {
			offers:    []string{alpn},
			before:    func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
			meanwhile: func(l *vaultcluster.Listener, _, local *other) { l.AddHandler(alpn, local) },
		},
		"a handler that is gone and replaced in the handshake": {
			offers: []string{alpn},
			before: func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
			meanwhile: func(l *vaultcluster.Listener, _, local *other) {
				l.StopHandler(alpn)
				l.AddHandler(alpn, local)
			},
		},
		"a handler that is gone at the end of the handshake": {
			offers:    []string{alpn},
			before:    func(l *vaultcluster.Listener, set, _ *other) { l.AddHandler(alpn, set) },
			meanwhile: func(l *vaultcluster.Listener, _, _ *other) { l.StopHandler(alpn) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			setCA, localCA := newAuthority(t), newAuthority(t)
			set, local := newOther(t, setCA), newOther(t, localCA)
			l := newNode(t).unseal(t)
			tt.before(l, set, local)
			meanwhile := nothing
			if tt.meanwhile != nil {
				meanwhile = func() { tt.meanwhile(l, set, local) }
			}
			err := client(t, l.Addr().String(), setCA, setCA, meanwhile, tt.offers...)
			if tt.let {
				require.NoError(t, err)
				(<-set.got).Close()
			} else {
				require.Error(t, err)
			}
			require.Empty(t, set.got)
			require.Empty(t, local.got, "a handler was given what another root of trust has vouched for")
		})
	}
}

// Replication's own handler refuses more than its protocol also where another listener
// than the border's does the handshake.
func TestTheHandlerOffersItsProtocolAlone(t *testing.T) {
	t.Parallel()
	h := &handler{alpn: replication.DR.ALPN(), cert: &tls.Certificate{}}
	for _, offers := range [][]string{nil, {forwarding, h.alpn}, {h.alpn, forwarding}, {h.alpn, h.alpn}, {forwarding}} {
		_, err := h.ServerLookup(t.Context(), &tls.ClientHelloInfo{SupportedProtos: offers})
		require.Error(t, err, "%v", offers)
	}
	_, err := h.ServerLookup(t.Context(), &tls.ClientHelloInfo{SupportedProtos: []string{h.alpn}})
	require.NoError(t, err)
}

// silent opens sockets that say what is given and nothing more.
func silent(t *testing.T, addr string, n int, says []byte) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = c.Write(says)
		require.NoError(t, err)
		conns[i] = c
	}
	return conns
}

// Sockets that say nothing, half of a ClientHello, or a whole one and then nothing, hold
// up nobody, however many there are.
func TestSilentSocketsHoldUpNobody(t *testing.T) {
	t.Parallel()
	hello := clientHello(t, replication.DR.ALPN())
	for name, says := range map[string][]byte{
		"nothing":               nil,
		"half of a ClientHello": hello[:len(hello)/2],
		"a whole ClientHello":   hello,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, addr := listening(t)
			set := newAuthority(t)
			peers := make(chan replication.PeerInfo, 8)
			serveEcho(t, p, set, peers)
			silent(t, addr, 3*LobbyPerAddress, says)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			conn, err := p.Dial(ctx, replication.DR, dialAs(t, addr, set, set))
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
			_, err = conn.Write([]byte("x"))
			require.NoError(t, err)
			_, err = io.ReadFull(conn, make([]byte, 1))
			require.NoError(t, err)
		})
	}
}

// clientHello is the first flight of a client.
func clientHello(t *testing.T, alpn string) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_ = tls.Client(far, &tls.Config{ServerName: "primary", NextProtos: []string{alpn}}).Handshake()
	}()
	buf := make([]byte, 16<<10)
	n, err := near.Read(buf)
	require.NoError(t, err)
	return buf[:n]
}

// A seal closes whatever is open, in a handshake or past it, and frees the address for
// the listener of the next unseal.
func TestSealClosesEverything(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	set := newAuthority(t)
	var addr string
	for range 3 {
		l := n.unseal(t)
		if addr != "" {
			require.Equal(t, addr, l.Addr().String(), "other nodes know the address")
		}
		addr = l.Addr().String()
		p := New(func() vaultcluster.ClusterHook { return l }, TLSPolicy{}, hclog.NewNullLogger())
		peers := make(chan replication.PeerInfo, 8)
		serveEcho(t, p, set, peers)
		waiting := silent(t, addr, 3, nil)
		conn, err := p.Dial(t.Context(), replication.DR, dialAs(t, addr, set, set))
		require.NoError(t, err)
		<-peers
		n.seal(l)
		for _, c := range append(waiting, conn) {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
			_, err := c.Read(make([]byte, 1))
			require.Error(t, err)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			var late net.Error
			require.False(t, errors.As(err, &late) && late.Timeout(), "left open: %v", err)
		}
		_, err = net.Dial("tcp", addr)
		require.Error(t, err, "a sealed node listens")
	}
}

// A handshake may not bring more than one has.
func TestAHandshakeIsBounded(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	limited := &handshakeConn{Conn: near}
	limited.left.Store(HandshakeBytes)
	go func() {
		for {
			if _, err := far.Write(make([]byte, 4<<10)); err != nil {
				return
			}
		}
	}()
	read, err := io.Copy(io.Discard, limited)
	require.Error(t, err)
	require.LessOrEqual(t, read, int64(HandshakeBytes))
	near.Close()
}

// A handshake that does not go on ends by itself.
func TestHandshakesEnd(t *testing.T) {
	t.Parallel()
	hello := clientHello(t, replication.DR.ALPN())
	p, addr := listening(t)
	serveEcho(t, p, newAuthority(t), make(chan replication.PeerInfo, 1))
	for name, says := range map[string][]byte{"nothing": nil, "half of a ClientHello": hello[:len(hello)/2],
		"a whole ClientHello": hello} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := silent(t, addr, 1, says)[0]
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
			_, err := io.Copy(io.Discard, conn)
			var late net.Error
			require.False(t, errors.As(err, &late) && late.Timeout(), "left open")
		})
	}
}

// Only some handshakes compute at a time, and a client that does not go on after its
// ClientHello holds none of their places.
func TestHandshakesComputeAFewAtATime(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.border.desks = make(desks, 1)
	l := n.unseal(t)
	p := New(func() vaultcluster.ClusterHook { return l }, TLSPolicy{}, hclog.NewNullLogger())
	set := newAuthority(t)
	peers := make(chan replication.PeerInfo, 8)
	serveEcho(t, p, set, peers)
	silent(t, l.Addr().String(), 3, clientHello(t, replication.DR.ALPN()))

	leave, err := n.border.desks.take(t.Context())
	require.NoError(t, err)
	done := make(chan error, 1)
	req := dialAs(t, l.Addr().String(), set, set)
	go func() {
		conn, err := p.Dial(t.Context(), replication.DR, req)
		if err == nil {
			defer conn.Close()
		}
		done <- err
	}()
	require.Eventually(t, func() bool { return n.border.lobby.spoken() > 0 }, 20*time.Second, time.Millisecond)
	require.Empty(t, done)
	leave()
	leave()
	require.NoError(t, <-done)
	require.Eventually(t, func() bool { return len(n.border.desks) == 0 }, 20*time.Second, time.Millisecond)
}

// spoken is how many guests have said their ClientHello.
func (l *lobby) spoken() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.guests.Front(); e != nil; e = e.Next() {
		if e.Value.(*guest).spoke {
			n++
		}
	}
	return n
}
