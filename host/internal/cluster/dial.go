// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// DialTimeout bounds connecting and the TLS handshake together.
const DialTimeout = 15 * time.Second

// Dial connects to the cluster port of another cluster for a mode, by mutual
// TLS under the CA and the server name of the request.
func (p *Port) Dial(ctx context.Context, mode replication.Mode, req replication.DialRequest) (net.Conn, error) {
	addr, err := clusteraddr.HostPort(req.Address)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(req.CACert)
	if err != nil {
		return nil, replication.Errorf(replication.InvalidInput, "the CA certificate of the primary cannot be parsed: %w",
			err)
	}
	cert, err := keyPair(req.Cert, req.Key)
	if err != nil {
		return nil, replication.Errorf(replication.InvalidInput, "the certificate of this secondary cannot be used: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)

	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	raw, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, replication.Errorf(replication.Unreachable, "the cluster port %s of the primary does not answer: check "+
			"the address, the firewall and that the primary is active: %w", addr, err)
	}
	conn := tls.Client(raw, &tls.Config{
		MinVersion:   p.policy.MinVersion,
		CipherSuites: p.policy.CipherSuites,
		RootCAs:      roots,
		ServerName:   req.ServerName,
		NextProtos:   []string{mode.ALPN()},
		Certificates: []tls.Certificate{*cert},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			return nil, replication.Errorf(replication.Unreachable, "the cluster port %s did not finish the TLS handshake in "+
				"time: %w", addr, err)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			// A load balancer without a server behind it does this.
			return nil, replication.Errorf(replication.Unreachable, "the port %s closed the connection in the TLS handshake: "+
				"check what is between the clusters: %w", addr, err)
		}
		return nil, replication.Errorf(replication.Denied, "the cluster port %s refused the TLS handshake (a standby, a "+
			"TLS-terminating load balancer, another replication set, or a revoked certificate): %w", addr, err)
	}
	if conn.ConnectionState().NegotiatedProtocol != mode.ALPN() {
		_ = conn.Close()
		return nil, replication.Errorf(replication.Denied, "the port %s does not speak %s: something between the clusters "+
			"terminates TLS", addr, mode.ALPN())
	}
	return &verdictConn{Conn: conn}, nil
}

// verdictConn knows whether the other end refused the certificate. With TLS 1.3 a
// client learns that only when it reads.
type verdictConn struct {
	*tls.Conn
	refused atomic.Bool
}

var _ tunnel.Refuser = (*verdictConn)(nil)

func (c *verdictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		c.refused.Store(true)
		err = replication.Errorf(replication.Denied, "%s: %w", c.Refused(), err)
	}
	return n, err
}

func (c *verdictConn) Refused() string {
	if !c.refused.Load() {
		return ""
	}
	return "the primary refused the certificate of this secondary: it was revoked, or is of another primary; join it " +
		"with a new activation token under another id"
}
