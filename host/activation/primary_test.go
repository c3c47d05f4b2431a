// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// fakePrimary answers the two wrapping endpoints as Vault does.
type fakePrimary struct {
	*httptest.Server
	mu           sync.Mutex
	creationPath string
	wrapped      map[string]map[string]any // by token as it was sent
	lookups      int
	unwraps      int
	status       int // answer everything with it when not 0
	answer       string
}

func newFakePrimary(t *testing.T, tls bool) *fakePrimary {
	p := emptyPrimary()
	if tls {
		p.Server = httptest.NewTLSServer(p)
	} else {
		p.Server = httptest.NewServer(p)
	}
	t.Cleanup(p.Close)
	return p
}

func emptyPrimary() *fakePrimary {
	return &fakePrimary{creationPath: "sys/replication/dr/primary/secondary-token", wrapped: map[string]map[string]any{}}
}

func (p *fakePrimary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != 0 {
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(p.answer))
		return
	}
	refuse := func() {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"errors":["wrapping token is not valid or does not exist"]}`))
	}
	answer := func(data map[string]any) { _ = json.NewEncoder(w).Encode(map[string]any{"data": data}) }
	switch r.URL.Path {
	case "/v1/sys/wrapping/lookup":
		p.lookups++
		var body struct{ Token string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		if p.wrapped[body.Token] == nil || r.Header.Get("X-Vault-Token") != "" || r.Header.Get("X-Vault-Namespace") != "" {
			refuse()
			return
		}
		answer(map[string]any{"creation_path": p.creationPath, "creation_ttl": 1800})
	case "/v1/sys/wrapping/unwrap":
		p.unwraps++
		token := r.Header.Get("X-Vault-Token")
		data := p.wrapped[token]
		if data == nil {
			refuse()
			return
		}
		delete(p.wrapped, token)
		answer(data)
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[]}`))
	}
}

// wrap stores a payload behind a token.
func (p *fakePrimary) wrap(t *testing.T, token string, payload Payload) {
	data, err := payload.Seal()
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrapped[token] = data
}

func (p *fakePrimary) counts() (lookups, unwraps int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lookups, p.unwraps
}

// caFile writes the server's certificate as a PEM file.
func (p *fakePrimary) caFile(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	require.NoError(t, os.WriteFile(name, block, 0o600))
	return name
}

// jwt makes a token in the form of Vault's; nil deletes a claim.
func jwt(change map[string]any) string {
	claims := map[string]any{"jti": "hvs.CAES", "type": "wrapping", "addr": "", "exp": time.Now().Add(time.Hour).Unix(),
		"iat": time.Now().Unix()}
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	body, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"ES512","typ":"JWT"}`)) + "." + enc(body) + "." + enc(make([]byte, 132))
}

func samplePayload() Payload {
	return Payload{Mode: replication.DR, ID: "dr-b", ClusterID: "set", Bundle: []byte("certificate"),
		PairingKey: []byte("a pairing key that has 32 bytes.")}
}
