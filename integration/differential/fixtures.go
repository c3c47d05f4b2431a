// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"
)

// Fixtures are credentials from outside that all targets are given alike.
type Fixtures struct {
	// ClientCert is for the certificate auth method.
	ClientCert tls.Certificate

	given map[string]string
}

// NewFixtures makes keys, certificates and signed tokens.
func NewFixtures() (*Fixtures, error) {
	f := &Fixtures{given: map[string]string{}}
	for _, make := range []func() error{f.makeClientCert, f.makeTokens, f.makeRequest} {
		if err := make(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Give adds a value that steps may name and that is the same for all targets.
func (f *Fixtures) Give(name, value string) { f.given[name] = value }

func (f *Fixtures) values() map[string]string { return f.given }

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func (f *Fixtures) makeClientCert() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "client.differential",
			OrganizationalUnit: []string{"tests"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames:    []string{"client.differential"},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	f.ClientCert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	f.Give("client_cert_pem", encodePEM("CERTIFICATE", der))
	return nil
}

// makeRequest makes a certificate request for the PKI engine to sign.
func (f *Fixtures) makeRequest() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "csr.pki.test"},
		DNSNames: []string{"csr.pki.test"}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return err
	}
	f.Give("csr_pem", encodePEM("CERTIFICATE REQUEST", der))
	return nil
}

// makeTokens makes JWTs of an issuer whose key the JWT auth method is given.
func (f *Fixtures) makeTokens() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	f.Give("jwt_public_key", encodePEM("PUBLIC KEY", der))
	stranger, err := newKey()
	if err != nil {
		return err
	}
	claims := func(change map[string]any) map[string]any {
		out := map[string]any{
			"iss": "https://issuer.test", "aud": "vault", "sub": "subject-1", "user": "jane", "team": "blue",
			"groups": []string{"g1", "g2"},
			"iat":    time.Now().Add(-time.Minute).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(),
			"exp": time.Now().Add(time.Hour).Unix(),
		}
		for name, value := range change {
			out[name] = value
		}
		return out
	}
	past := time.Now().Add(-time.Hour).Unix()
	for name, token := range map[string]struct {
		key    *ecdsa.PrivateKey
		claims map[string]any
	}{
		"jwt_good":      {key, claims(nil)},
		"jwt_regrouped": {key, claims(map[string]any{"groups": []string{"g2", "g3"}, "team": "red"})},
		"jwt_audience":  {key, claims(map[string]any{"aud": "other"})},
		"jwt_expired":   {key, claims(map[string]any{"exp": past, "nbf": past - 60, "iat": past - 60})},
		"jwt_stranger":  {stranger, claims(nil)},
	} {
		signed, err := sign(token.key, token.claims)
		if err != nil {
			return err
		}
		f.Give(name, signed)
	}
	return nil
}

// sign makes a JWT with the algorithm ES256.
func sign(key *ecdsa.PrivateKey, claims map[string]any) (string, error) {
	content, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(content)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64) // both numbers of fixed length, as JWS has them
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
