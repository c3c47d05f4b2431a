// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// clientPair makes a certificate that signs itself.
func clientPair(t *testing.T) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	encode := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", raw)
}

// A primary whose API wants client certificates gets one, and its token is not spent by a request without.
func TestPrimaryWantsAClientCertificate(t *testing.T) {
	t.Parallel()
	cert, key := clientPair(t)
	foreign, foreignKey := clientPair(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		p := emptyPrimary()
		p.Server = httptest.NewUnstartedServer(p)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM([]byte(cert)))
		p.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: version}
		p.StartTLS()
		t.Cleanup(p.Close)
		token := jwt(map[string]any{"addr": p.URL})
		p.wrap(t, token, samplePayload())
		req := Request{Token: token, CAFile: p.caFile(t)}
		for _, shown := range [][2]string{{"", ""}, {foreign, foreignKey}} {
			req.ClientCertPEM, req.ClientKeyPEM = shown[0], shown[1]
			_, _, spent, err := fetch(t, req)
			require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
			require.ErrorContains(t, err, "if it wants a client certificate")
			require.False(t, spent)
		}
		for _, bad := range [][2]string{{cert, ""}, {"", key}, {cert, foreignKey}, {"x", "y"}} {
			req.ClientCertPEM, req.ClientKeyPEM = bad[0], bad[1]
			_, _, _, err := fetch(t, req)
			require.Equal(t, replication.InvalidInput, replication.KindOf(err), name)
			require.ErrorContains(t, err, "no certificate and its private key")
		}
		req.ClientCertPEM, req.ClientKeyPEM = cert, key
		_, _, spent, err := fetch(t, req)
		require.NoError(t, err, name)
		require.True(t, spent)
	}
}
