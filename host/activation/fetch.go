// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// DefaultTimeout bounds one exchange with the primary's API.
const DefaultTimeout = 30 * time.Second

// Request says which token to exchange, and where.
type Request struct {
	// Mode is the one the token has to be for.
	Mode  replication.Mode
	Token string
	// PrimaryAPIAddr overrides the address in the token.
	PrimaryAPIAddr string
	// CAFile and CAPath replace the system's roots.
	CAFile, CAPath string
	// ClientCertPEM and ClientKeyPEM are shown to a primary whose API wants a client certificate.
	ClientCertPEM, ClientKeyPEM string
}

// Client exchanges activation tokens. Its zero value is ready; all methods may
// be called concurrently.
type Client struct {
	// Timeout bounds one exchange; 0 means DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets the causes that a client is not told. They name files and addresses that
	// anybody who may call the endpoint can choose. Nil logs nothing.
	Logger hclog.Logger
}

// unsaid logs why something failed, for the operator of this node alone.
func (c *Client) unsaid(message string, err error) {
	if c.Logger != nil {
		c.Logger.Warn(message, "error", err)
	}
}

// Fetch checks the token, asks the primary what it was made for and, if it fits,
// spends it. The spent result says whether the token can no longer be used, so
// that the caller can tell the operator whether a new one is needed. Errors are
// of the contract: InvalidInput, Denied (token or certificate refused),
// Unreachable, Unavailable.
func (c *Client) Fetch(ctx context.Context, req Request) (p *Payload, warnings []string, spent bool, err error) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	token, err := Parse(req.Token, now())
	if err != nil {
		return nil, nil, false, err
	}
	addr, warnings, err := address(req.PrimaryAPIAddr, token.Addr, token.Expires.IsZero())
	if err != nil {
		return nil, nil, false, err
	}
	primary, err := c.connect(addr, req)
	if err != nil {
		return nil, nil, false, err
	}
	defer primary.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, DefaultTimeout))
	defer cancel()

	if err := primary.checkMode(ctx, token, req.Mode); err != nil {
		return nil, nil, false, err
	}
	p, spent, err = primary.unwrap(ctx, token)
	if err != nil {
		return nil, nil, spent, err
	}
	if err := p.mustBeFor(req.Mode); err != nil {
		return nil, nil, true, err
	}
	return p, warnings, true, nil
}

// address decides where to exchange the token.
func address(given, claimed string, bare bool) (addr string, warnings []string, err error) {
	given = strings.TrimSpace(given)
	addr, from := given, "primary_api_addr"
	if addr == "" {
		addr, from = strings.TrimSpace(claimed), "the address in the activation token"
	}
	if addr == "" {
		if bare {
			return "", nil, invalid("the token is not an activation token as secondary-token returns it: copy the whole " +
				"wrapping_token, or give primary_api_addr with a wrapping token that has no address in it")
		}
		return "", nil, invalid("the activation token names no address: give primary_api_addr, or set api_addr on the " +
			"primary and ask for a new token")
	}
	u, err := url.Parse(addr)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Trim(u.Path, "/") != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", nil, invalid("%s is not a URL such as https://vault.example.com:8200: correct primary_api_addr, or "+
			"api_addr on the primary", from)
	}
	if u.Scheme == "http" {
		if given == "" {
			return "", nil, invalid("the address in the activation token is without TLS, so anyone on the way could take the " +
				"activation: give primary_api_addr with https://, or with http:// to accept that")
		}
		warnings = append(warnings, "The activation was fetched over http: whoever could read the connection has the "+
			"secondary's credentials. Revoke the secondary and use https unless this is a test.")
	}
	return addr, warnings, nil
}

// primary is the API of the other cluster.
type primary struct {
	client    *api.Client
	transport *http.Transport
	addr      string
	unsaid    func(message string, err error)
}

// connect prepares a client. Of this server's environment it uses the proxy for https
// alone, not VAULT_TOKEN, VAULT_SKIP_VERIFY, VAULT_NAMESPACE and others. Without TLS a
// proxy could read the activation.
//
// All faults of the files get the same sentence. Otherwise the fields could be used to find
// out which files there are on this node.
func (c *Client) connect(addr string, req Request) (*primary, error) {
	shown, err := clientCertificates(req.ClientCertPEM, req.ClientKeyPEM)
	if err != nil {
		return nil, err
	}
	pool, err := roots(req.CAFile, req.CAPath)
	if err != nil {
		c.unsaid("the CA for the primary's API cannot be used", err)
		return nil, invalid("ca_file or ca_path cannot be used: give a readable file, or a directory of files, with the " +
			"PEM certificate of the CA of the primary's API address; the log of this node says what is wrong with it")
	}
	transport := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme != "https" {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: shown},
		ForceAttemptHTTP2:   true,
	}
	client, err := api.NewClient(&api.Config{
		Address: addr,
		// A second try of a single-use token would hide the first one's error.
		MaxRetries: 0,
		HttpClient: &http.Client{
			Transport: boundedTransport{transport},
			// The api package follows one redirect itself, never from https to http.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil {
		return nil, invalid("no client can be made for the primary's API address: %w", err)
	}
	client.ClearToken()
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	return &primary{client: client, transport: transport, addr: addr, unsaid: c.unsaid}, nil
}

// clientCertificates reads what an operator gave. The cause of a failure could quote the key.
func clientCertificates(certPEM, keyPEM string) ([]tls.Certificate, error) {
	if certPEM == "" && keyPEM == "" {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		return nil, invalid("client_cert_pem and client_key_pem are no certificate and its private key in PEM: give both, " +
			"with their line ends")
	}
	return []tls.Certificate{pair}, nil
}

// CloseIdle ends the connections that were kept for another request.
func (p *primary) CloseIdle() { p.transport.CloseIdleConnections() }

// madeFor is the mode of the activation tokens that come from a path, empty if none do.
func madeFor(path string) replication.Mode {
	for _, mode := range replication.Modes() {
		for _, below := range mode.Paths() {
			if path == "sys/"+below+"primary/secondary-token" {
				return mode
			}
		}
	}
	return ""
}

// checkMode asks what the token was made for, which does not spend it.
func (p *primary) checkMode(ctx context.Context, token *Token, mode replication.Mode) error {
	secret, err := p.client.Logical().WriteWithContext(ctx, "sys/wrapping/lookup", map[string]any{"token": token.raw})
	if err != nil {
		return p.explain(ctx, err)
	}
	if secret == nil {
		return denied("the activation token was used, has expired or is unknown at %s: ask the primary for a new one with "+
			"secondary-token", p.addr)
	}
	path, _ := secret.Data["creation_path"].(string)
	switch made := madeFor(path); {
	case made == "":
		return invalid("the token at %s was not made by secondary-token: use the wrapping token that "+
			"sys/replication/%s/primary/secondary-token returned", p.addr, mode)
	case made != mode:
		return invalid("the activation token is for %s replication, not for %s: it was not used up; ask the primary for a "+
			"token of the right mode", made, mode)
	}
	return nil
}

// unwrap spends the token.
func (p *primary) unwrap(ctx context.Context, token *Token) (payload *Payload, spent bool, err error) {
	// Without a token of its own the client sends the wrapping token, whole, in
	// the header, and the primary checks its signature.
	secret, err := p.client.Logical().UnwrapWithContext(ctx, token.raw)
	if err != nil {
		// An answer means that the primary decided. Without one the primary may have spent
		// the token; the next look-up tells.
		return nil, false, p.explain(ctx, err)
	}
	if secret == nil {
		return nil, true, invalid("the activation token at %s held nothing: ask the primary for a new one with "+
			"secondary-token", p.addr)
	}
	payload, err = Open(secret.Data)
	return payload, true, err
}
