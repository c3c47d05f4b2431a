// SPDX-License-Identifier: MPL-2.0

package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

const (
	// certificateLife is the life of the authority and of all certificates that it signs.
	certificateLife = 30 * 365 * 24 * time.Hour
	// certificateSkew is how far another cluster's clock may be behind.
	certificateSkew = 24 * time.Hour
)

// newSerial is 127 random bits: no two certificates of an authority share one.
func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// issued is a certificate with its key, DER and PKCS #8.
type issued struct {
	cert, key []byte
	serial    string
}

// issue makes a key and signs its certificate. Without a parent it signs itself.
func issue(template *x509.Certificate, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	if parent == nil {
		parent, parentKey = template, key
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return &issued{cert: cert, key: keyDER, serial: serialText(serial)}, nil
}

func serialText(n *big.Int) string { return n.Text(16) }

// ServerName is the name in the certificate of a set's primary.
func ServerName(setID string) string { return "replication-primary-" + setID }

func template(commonName, setID string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName, Organization: []string{setID}},
		NotBefore: now.Add(-certificateSkew),
		NotAfter:  now.Add(certificateLife),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

// parseKeyPair checks that a key belongs to a certificate.
func parseKeyPair(certDER, keyDER []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("the key does not belong to the certificate")
	}
	return cert, key, nil
}

// verify says whether an authority signed a certificate for a purpose.
func verify(cert, ca *x509.Certificate, now time.Time, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}
