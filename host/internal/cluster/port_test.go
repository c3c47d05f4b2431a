// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// authority is a CA that signs what a test needs.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "set"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T, name string, usage x509.ExtKeyUsage) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	cert, err = x509.CreateCertificate(rand.Reader, tmpl, a.cert, k.Public(), a.key)
	require.NoError(t, err)
	key, err = x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return cert, key
}

// listening is a port over a real cluster listener of Vault behind the border.
func listening(t *testing.T) (*Port, string) {
	t.Helper()
	l := newNode(t).unseal(t)
	return New(func() vaultcluster.ClusterHook { return l }, TLSPolicy{}, hclog.NewNullLogger()), l.Addr().String()
}

// anybody lets every certificate of the authority in.
func anybody(_ context.Context, leaf *x509.Certificate) (string, error) {
	return leaf.Subject.CommonName, nil
}

// serveEcho accepts clients of the authority and sends back what they send.
func serveEcho(t *testing.T, p *Port, a *authority, peers chan<- replication.PeerInfo) {
	t.Helper()
	cert, key := a.issue(t, "primary", x509.ExtKeyUsageServerAuth)
	require.NoError(t, p.Listen(replication.DR, replication.ListenRequest{CACert: a.cert.Raw, Cert: cert, Key: key},
		anybody,
		func(_ context.Context, conn net.Conn, peer replication.PeerInfo) error {
			peers <- peer
			_, err := io.Copy(conn, conn)
			return err
		}))
}

func dialAs(t *testing.T, addr string, server, client *authority) replication.DialRequest {
	t.Helper()
	cert, key := client.issue(t, "secondary", x509.ExtKeyUsageClientAuth)
	return replication.DialRequest{Address: "https://" + addr, CACert: server.cert.Raw, ServerName: "primary", Cert: cert,
		Key: key}
}

func TestConnection(t *testing.T) {
	t.Parallel()
	p, addr := listening(t)
	set := newAuthority(t)
	peers := make(chan replication.PeerInfo, 1)
	serveEcho(t, p, set, peers)
	req := dialAs(t, addr, set, set)
	conn, err := p.Dial(context.Background(), replication.DR, req)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.Equal(t, req.Cert, (<-peers).Certificate)

	// The end of listening ends the connection.
	p.StopListening(replication.DR)
	_, err = conn.Read(got)
	require.Error(t, err)
}

// A primary that stops accepting may still have something to say on the present
// connections.
func TestPresentConnectionsStayUntilTheEndOfListening(t *testing.T) {
	t.Parallel()
	p, addr := listening(t)
	set := newAuthority(t)
	serveEcho(t, p, set, make(chan replication.PeerInfo, 2))
	req := dialAs(t, addr, set, set)
	conn, err := p.Dial(context.Background(), replication.DR, req)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	says := func(text string) {
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
		got := make([]byte, len(text))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
	says("before")
	p.StopAccepting(replication.DR)
	// A whole handshake later it is still there.
	require.Error(t, refused(t, p, replication.DR, req))
	says("after")

	p.StopListening(replication.DR)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// refused says whether a connection carries no data: with TLS 1.3 a client
// learns that its certificate was refused only when it reads.
func refused(t *testing.T, p *Port, mode replication.Mode, req replication.DialRequest) error {
	t.Helper()
	conn, err := p.Dial(context.Background(), mode, req)
	if err != nil {
		return err
	}
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	p, addr := listening(t)
	set, other := newAuthority(t), newAuthority(t)
	peers := make(chan replication.PeerInfo, 8)
	serveEcho(t, p, set, peers)
	require.NoError(t, refused(t, p, replication.DR, dialAs(t, addr, set, set)), "the check itself must let a good "+
		"client in")
	<-peers

	server := dialAs(t, addr, set, set)
	server.Cert, server.Key = set.issue(t, "primary", x509.ExtKeyUsageServerAuth)
	tests := map[string]struct {
		mode replication.Mode
		req  replication.DialRequest
	}{
		"client of another CA":             {replication.DR, dialAs(t, addr, set, other)},
		"server of another CA":             {replication.DR, dialAs(t, addr, other, set)},
		"server's certificate as client's": {replication.DR, server},
		"mode that nobody listens for":     {replication.Performance, dialAs(t, addr, set, set)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Error(t, refused(t, p, tt.mode, tt.req))
			require.Empty(t, peers, "a stranger must not reach the plugin")
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	p, _ := listening(t)
	set := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, err = p.Dial(context.Background(), replication.DR, dialAs(t, addr, set, set))
	require.Equal(t, replication.Unreachable, replication.KindOf(err))
}

// Each handshake asks which certificates are let in. So a refusal takes effect at once. A
// connection with a certificate that is no longer let in is cut.
func TestOnlyWhoIsAdmittedIsLetIn(t *testing.T) {
	t.Parallel()
	p, addr := listening(t)
	set := newAuthority(t)
	var wanted atomic.Bool
	wanted.Store(true)
	cert, key := set.issue(t, "primary", x509.ExtKeyUsageServerAuth)
	served := make(chan struct{}, 16)
	require.NoError(t, p.Listen(replication.DR, replication.ListenRequest{CACert: set.cert.Raw, Cert: cert, Key: key},
		func(_ context.Context, leaf *x509.Certificate) (string, error) {
			if !wanted.Load() {
				return "", replication.Errorf(replication.Denied, "revoked")
			}
			return leaf.Subject.CommonName, nil
		},
		func(_ context.Context, conn net.Conn, _ replication.PeerInfo) error {
			served <- struct{}{}
			_, err := io.Copy(conn, conn)
			return err
		}))
	req := dialAs(t, addr, set, set)
	conn, err := p.Dial(t.Context(), replication.DR, req)
	require.NoError(t, err)
	defer conn.Close()
	<-served

	p.Cut(replication.DR, "another")
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err, "another secondary was cut")

	wanted.Store(false)
	p.Cut(replication.DR, "secondary")
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	err = refused(t, p, replication.DR, req)
	require.Equal(t, replication.Denied, replication.KindOf(err), "%v", err)
	require.Empty(t, served)

	wanted.Store(true)
	require.NoError(t, refused(t, p, replication.DR, req), "the check itself must let a good client in")
}

// A secondary that is revoked between the handshake and the handover is not served.
func TestARevocationDuringTheHandover(t *testing.T) {
	t.Parallel()
	p, addr := listening(t)
	set := newAuthority(t)
	var asked atomic.Int32
	cert, key := set.issue(t, "primary", x509.ExtKeyUsageServerAuth)
	served := make(chan struct{}, 1)
	require.NoError(t, p.Listen(replication.DR, replication.ListenRequest{CACert: set.cert.Raw, Cert: cert, Key: key},
		func(_ context.Context, leaf *x509.Certificate) (string, error) {
			if asked.Add(1) > 1 {
				return "", replication.Errorf(replication.Denied, "revoked")
			}
			return leaf.Subject.CommonName, nil
		},
		func(context.Context, net.Conn, replication.PeerInfo) error {
			served <- struct{}{}
			return nil
		}))
	require.Error(t, refused(t, p, replication.DR, dialAs(t, addr, set, set)))
	require.Empty(t, served)
}

// One certificate holds a few connections open, whatever the plugin allows.
func TestConnectionsOfOneCertificateAreBounded(t *testing.T) {
	t.Parallel()
	p, addr := listening(t)
	set := newAuthority(t)
	peers := make(chan replication.PeerInfo, 2*ConnectionsMax)
	serveEcho(t, p, set, peers)
	req := dialAs(t, addr, set, set)
	var conns []net.Conn
	for range ConnectionsMax {
		conn, err := p.Dial(t.Context(), replication.DR, req)
		require.NoError(t, err)
		defer conn.Close()
		<-peers
		conns = append(conns, conn)
	}
	require.Error(t, refused(t, p, replication.DR, req))
	require.NoError(t, conns[0].Close())
	require.Eventually(t, func() bool { return refused(t, p, replication.DR, req) == nil }, 20*time.Second,
		10*time.Millisecond)
}

// A peer that is refused again and again does not fill the log.
func TestRefusalsAreFewLines(t *testing.T) {
	t.Parallel()
	l := newNode(t).unseal(t)
	var log lines
	p := New(func() vaultcluster.ClusterHook { return l }, TLSPolicy{}, hclog.New(&hclog.LoggerOptions{Output: &log}))
	set := newAuthority(t)
	cert, key := set.issue(t, "primary", x509.ExtKeyUsageServerAuth)
	require.NoError(t, p.Listen(replication.DR, replication.ListenRequest{CACert: set.cert.Raw, Cert: cert, Key: key},
		func(context.Context, *x509.Certificate) (string, error) {
			return "", replication.Errorf(replication.Denied, "revoked")
		}, nil))
	req := dialAs(t, l.Addr().String(), set, set)
	for range 3 * refusalsBurst {
		require.Error(t, refused(t, p, replication.DR, req))
	}
	require.NotZero(t, log.n.Load())
	require.Less(t, log.n.Load(), int32(2*refusalsBurst))
}

// lines counts lines of a log.
type lines struct{ n atomic.Int32 }

func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(1)
	return len(p), nil
}
