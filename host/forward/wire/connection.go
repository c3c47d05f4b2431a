// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
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

// httpRecord is what a backend can read of the client's HTTP request. Of those
// that are built in, pki alone does (the body of an OCSP request); the system
// backend's profiles and snapshots stream and are not forwarded.
type httpRecord struct {
	Method, URL, Proto, Host, RemoteAddr string
	Header                               map[string][]string
}

// takeHTTP leaves every bearer token out: a request that has not been
// authenticated yet does not say whether one is Vault's.
func takeHTTP(r *http.Request, s secrets) *httpRecord {
	if r == nil {
		return nil
	}
	rec := &httpRecord{
		Method: r.Method, Proto: r.Proto, Host: r.Host, RemoteAddr: r.RemoteAddr,
		Header: s.without(r.Header),
	}
	if r.URL != nil {
		rec.URL = r.URL.String()
	}
	for name, values := range rec.Header {
		for _, v := range values {
			if scheme, _, _ := strings.Cut(v, " "); strings.EqualFold(name, "Authorization") && strings.EqualFold(scheme, "Bearer") {
				delete(rec.Header, name)
			}
		}
	}
	return rec
}

func (r *httpRecord) restore(body []byte) (*http.Request, error) {
	if r == nil {
		return nil, nil
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: r.Method, URL: u, Proto: r.Proto, Host: r.Host, RemoteAddr: r.RemoteAddr,
		Header: r.Header, Body: http.NoBody, ContentLength: int64(len(body)),
	}
	req.ProtoMajor, req.ProtoMinor, _ = http.ParseHTTPVersion(r.Proto)
	if body != nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return req, nil
}
