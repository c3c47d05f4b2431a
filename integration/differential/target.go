// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Target is a server under test: its address and a token. The engine knows no more of it,
// so it can be a cluster in any role.
type Target struct {
	// Name is in reports and in the table of differences.
	Name    string
	Address string
	// Token is a root token.
	Token string
	// TLS is the client's side, nil for plain HTTP.
	TLS *tls.Config
	// Values are values that steps may name and that differ between targets: addresses,
	// names of things outside. In answers they are replaced by their names.
	Values map[string]string
	// Upstream is the primary of a performance secondary: it gets the requests that a
	// secondary refuses to pass on. What it answers as X-Vault-Index goes with the
	// secondary's next requests.
	Upstream *Target
}

// upstreamOnly are the paths whose changes a performance secondary does not pass on. They
// choose programs that the primary's servers run, or turn its keyring.
var upstreamOnly = []string{"sys/plugins/catalog/", "sys/plugins/pins/", "sys/plugins/runtimes/", "sys/rotate",
	"sys/audit/"}

// goesUpstream says whether a step goes to the primary of a secondary.
func goesUpstream(s Step) bool {
	return s.Method != http.MethodGet && s.Method != "LIST" &&
		slices.ContainsFunc(upstreamOnly, func(prefix string) bool { return strings.HasPrefix(s.Path, prefix) })
}

const indexHeader = "X-Vault-Index"

// requestLimit bounds one request.
const requestLimit = 60 * time.Second

// client sends requests to one target.
type client struct {
	target    Target
	http      *http.Client
	certified *http.Client
	upstream  *client
	index     string
}

func newClient(t Target, f *Fixtures) *client {
	certified := t.TLS.Clone()
	if certified != nil {
		certified.Certificates = []tls.Certificate{f.ClientCert}
	}
	c := &client{target: t, http: httpClient(t.TLS.Clone()), certified: httpClient(certified)}
	if t.Upstream != nil {
		c.upstream = newClient(*t.Upstream, f)
	}
	return c
}

func httpClient(config *tls.Config) *http.Client {
	return &http.Client{
		Timeout:   requestLimit,
		Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true},
		// A redirection is an answer to compare, not a way to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *client) close() {
	c.http.CloseIdleConnections()
	c.certified.CloseIdleConnections()
	if c.upstream != nil {
		c.upstream.close()
	}
}

// response is an answer as it came.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) send(ctx context.Context, s Step, v *values) (*response, error) {
	if c.upstream != nil && goesUpstream(s) {
		r, err := c.upstream.send(ctx, s, v)
		if err == nil && r.header.Get(indexHeader) != "" {
			c.index = r.header.Get(indexHeader)
		}
		return r, err
	}
	body, err := encode(v.fill(s.Body))
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(c.target.Address, "/") + "/v1/" + v.fillText(s.Path)
	request, err := http.NewRequestWithContext(ctx, s.Method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	switch s.Token {
	case "":
		request.Header.Set("X-Vault-Token", c.target.Token)
	case NoToken:
	default:
		request.Header.Set("X-Vault-Token", v.fillText(s.Token))
	}
	request.Header.Set("X-Vault-Request", "true")
	if c.index != "" {
		request.Header.Set(indexHeader, c.index)
	}
	for name, value := range s.Headers {
		request.Header.Set(name, v.fillText(value))
	}
	sender := c.http
	if s.ClientCert {
		sender = c.certified
	}
	answer, err := sender.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() // read to its end
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return &response{status: answer.StatusCode, header: answer.Header, body: content}, nil
}

func encode(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(b), nil
	}
	return json.Marshal(body)
}
