// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
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

func TestHTTPRequestAndBodyArrive(t *testing.T) {
	t.Parallel()
	hr := httptest.NewRequest(http.MethodPost, "http://vault:8200/v1/pki/ocsp?a=%ff", http.NoBody)
	hr.Header.Set("Content-Type", "application/ocsp-request")
	ctx := logical.CreateContextOriginalRequestPath(context.Background(), "/v1/pki/ocsp")
	sent := &Request{Logical: &logical.Request{HTTPRequest: hr, Path: "o\xffcsp"}, Body: []byte("DER\xff")}
	sent.TakeContext(ctx)
	got := transfer(t, sent)
	require.Equal(t, "o\xffcsp", got.Logical.Path)
	require.Equal(t, http.MethodPost, got.Logical.HTTPRequest.Method)
	require.Equal(t, hr.URL.String(), got.Logical.HTTPRequest.URL.String())
	require.Equal(t, hr.Header, got.Logical.HTTPRequest.Header)
	require.Equal(t, 1, got.Logical.HTTPRequest.ProtoMajor)
	body, err := io.ReadAll(got.Logical.HTTPRequest.Body)
	require.NoError(t, err)
	require.Equal(t, "DER\xff", string(body))

	here := got.Context(t.Context())
	path, ok := logical.ContextOriginalRequestPathValue(here)
	require.True(t, ok)
	require.Equal(t, "/v1/pki/ocsp", path)
	stream, ok := logical.ContextOriginalBodyValue(here)
	require.True(t, ok)
	body, err = io.ReadAll(stream)
	require.NoError(t, err)
	require.Equal(t, "DER\xff", string(body), "each reader has a body of its own")

	none := transfer(t, &Request{Logical: &logical.Request{}})
	require.Nil(t, none.Logical.HTTPRequest)
	_, ok = logical.ContextOriginalBodyValue(none.Context(t.Context()))
	require.False(t, ok)
}
