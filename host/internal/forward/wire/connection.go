// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// tlsRecord is what a handler may ask of the client's TLS connection: the cert
// method proves its logins with the certificates. Certificates are DER.
type tlsRecord struct {
	Version, CipherSuite           uint16
	HandshakeComplete, DidResume   bool
	NegotiatedProtocol, ServerName string
	PeerCertificates               [][]byte
	VerifiedChains                 [][][]byte
}

func takeTLS(c *tls.ConnectionState) *tlsRecord {
	if c == nil {
		return nil
	}
	r := &tlsRecord{
		Version: c.Version, CipherSuite: c.CipherSuite,
		HandshakeComplete: c.HandshakeComplete, DidResume: c.DidResume,
		NegotiatedProtocol: c.NegotiatedProtocol, ServerName: c.ServerName,
		PeerCertificates: raws(c.PeerCertificates),
	}
	for _, chain := range c.VerifiedChains {
		r.VerifiedChains = append(r.VerifiedChains, raws(chain))
	}
	return r
}

func (r *tlsRecord) restore() (*tls.ConnectionState, error) {
	c := &tls.ConnectionState{
		Version: r.Version, CipherSuite: r.CipherSuite,
		HandshakeComplete: r.HandshakeComplete, DidResume: r.DidResume,
		NegotiatedProtocol: r.NegotiatedProtocol, ServerName: r.ServerName,
	}
	var err error
	if c.PeerCertificates, err = certificates(r.PeerCertificates); err != nil {
		return nil, err
	}
	for _, chain := range r.VerifiedChains {
		certs, err := certificates(chain)
		if err != nil {
			return nil, err
		}
		c.VerifiedChains = append(c.VerifiedChains, certs)
	}
	return c, nil
}

func raws(certs []*x509.Certificate) [][]byte {
	var list [][]byte
	for _, c := range certs {
		list = append(list, c.Raw)
	}
	return list
}

func certificates(list [][]byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, raw := range list {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fmt.Errorf("a certificate of the client: %w", err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}
