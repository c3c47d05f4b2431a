// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// responseMax bounds an answer of the primary's API in bytes.
const responseMax = 4 << 20

// boundedTransport keeps a hostile or broken server from filling memory.
type boundedTransport struct{ inner http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, responseMax), resp.Body}
	}
	return resp, err
}

// explain turns what the exchange failed with into one sentence of the contract.
func (p *primary) explain(ctx context.Context, err error) error {
	var (
		answer    *api.ResponseError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		bad       x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &answer):
		return p.explainAnswer(answer)
	case errors.As(err, &authority):
		return denied("the certificate of %s is signed by a CA that is not trusted here: give that CA with ca_file or "+
			"ca_path", p.addr)
	case errors.As(err, &hostname):
		return denied("the certificate of %s is for another name: give primary_api_addr with a name that is in the "+
			"certificate", p.addr)
	case errors.As(err, &bad), errors.As(err, &verify):
		return denied("the certificate of %s is not valid (expired, or not a server's): renew it on the primary", p.addr)
	case errors.As(err, &remote) && wantsCertificate(remote):
		return denied("%s refuses the TLS handshake of this node: if it wants a client certificate, give client_cert_pem "+
			"and "+
			"client_key_pem that it trusts; the token was not used up", p.addr)
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return replication.Errorf(replication.Unavailable, "the request was ended before %s answered: try again", p.addr)
	default:
		// All of these get the same sentence. Otherwise the field could be used to look
		// around in this node's network.
		p.unsaid("the primary's API cannot be reached", err)
		return replication.Errorf(replication.Unreachable,
			"%s cannot be reached from this node, or does not speak TLS: check primary_api_addr, its port and the way to it; "+
				"the log of this node has the cause", p.addr)
	}
}

// wantsCertificate says whether a server may have refused a client for the certificate that it showed, or did not
// show. Go has no type for the alerts of TLS. Those of certificates say so, and with TLS 1.2 it may be the general one.
func wantsCertificate(err *net.OpError) bool {
	text := err.Err.Error()
	return err.Op == "remote error" &&
		(strings.Contains(text, "certificate") || strings.Contains(text, "handshake failure"))
}

func (p *primary) explainAnswer(answer *api.ResponseError) error {
	status, text := answer.StatusCode, strings.Join(answer.Errors, " ")
	switch {
	case strings.Contains(text, "path disabled in replication DR secondary mode"):
		return invalid("the cluster at %s is a DR secondary itself: use the address and a token of the primary", p.addr)
	case strings.Contains(text, "signature could not be validated"):
		return denied("the activation token was not made by the cluster at %s: check primary_api_addr, or ask that cluster "+
			"for a token", p.addr)
	case status == http.StatusBadRequest, status == http.StatusForbidden:
		return denied("the activation token was used, has expired or is unknown at %s: ask the primary for a new one with "+
			"secondary-token", p.addr)
	case status == http.StatusNotFound:
		return invalid("the server at %s has no sys/wrapping endpoint, so it is not Vault's API: check primary_api_addr",
			p.addr)
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return replication.Errorf(replication.Unavailable, "the server at %s is sealed, or has no active node (HTTP %d): "+
			"try again later", p.addr, status)
	default:
		return replication.Errorf(replication.Unreachable, "the server at %s failed with HTTP %d: see its log, and check "+
			"primary_api_addr", p.addr, status)
	}
}
