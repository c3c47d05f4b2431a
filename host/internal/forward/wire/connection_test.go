// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestClientCertificatesArrive(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	cert := server.Certificate()
	state := &tls.ConnectionState{
		Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "vault",
		PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert, cert}},
	}
	sent := &logical.Request{Connection: &logical.Connection{RemoteAddr: "10.1.2.3", RemotePort: 4711, ConnState: state}}
	got := transfer(t, &Request{Logical: sent}).Logical.Connection
	require.Equal(t, "10.1.2.3", got.RemoteAddr)
	require.Equal(t, 4711, got.RemotePort)
	require.Equal(t, state.Version, got.ConnState.Version)
	require.Equal(t, state.CipherSuite, got.ConnState.CipherSuite)
	require.Equal(t, state.ServerName, got.ConnState.ServerName)
	require.True(t, got.ConnState.HandshakeComplete)
	require.True(t, cert.Equal(got.ConnState.PeerCertificates[0]))
	require.Len(t, got.ConnState.VerifiedChains[0], 2)

	require.Nil(t, transfer(t, &Request{Logical: &logical.Request{}}).Logical.Connection)
	plain := transfer(t, &Request{Logical: &logical.Request{Connection: &logical.Connection{RemoteAddr: "::1"}}})
	require.Nil(t, plain.Logical.Connection.ConnState, "no TLS stays no TLS")
}
