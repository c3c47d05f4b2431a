// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func fetch(_ *testing.T, req Request) (*Payload, []string, bool, error) {
	if req.Mode == "" {
		req.Mode = replication.DR
	}
	return new(Client).Fetch(context.Background(), req)
}

func TestFetchOnce(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"jwt", "bare"} {
		p := newFakePrimary(t, true)
		req := Request{Token: "hvs.bare", PrimaryAPIAddr: p.URL, CAFile: p.caFile(t)}
		if form == "jwt" {
			req.Token, req.PrimaryAPIAddr = jwt(map[string]any{"addr": p.URL}), ""
		}
		p.wrap(t, req.Token, samplePayload())
		got, warnings, spent, err := fetch(t, req)
		require.NoError(t, err, form)
		require.True(t, spent)
		require.Empty(t, warnings)
		require.Equal(t, "dr-b", got.ID)
		require.Equal(t, samplePayload().PairingKey, got.PairingKey)

		_, _, _, err = fetch(t, req)
		require.Equal(t, replication.Denied, replication.KindOf(err), form)
		require.Contains(t, err.Error(), "was used, has expired or is unknown")
	}
}

func TestFetchOverridesTheAddressInTheToken(t *testing.T) {
	t.Parallel()
	p := newFakePrimary(t, true)
	token := jwt(map[string]any{"addr": "https://192.0.2.1:8200"})
	p.wrap(t, token, samplePayload())
	dir := filepath.Dir(p.caFile(t))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("not a certificate"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	_, _, _, err := fetch(t, Request{Token: token, PrimaryAPIAddr: p.URL, CAPath: dir})
	require.NoError(t, err)
}

func TestFetchRefusesTheOtherModeWithoutSpending(t *testing.T) {
	t.Parallel()
	p := newFakePrimary(t, true)
	token := jwt(map[string]any{"addr": p.URL})
	p.wrap(t, token, samplePayload())
	for path, text := range map[string]string{
		"sys/replication/performance/primary/secondary-token": "is for performance replication, not for dr",
		"sys/replication/primary/secondary-token":             "is for performance replication, not for dr",
		"sys/wrapping/wrap":                                   "was not made by secondary-token",
	} {
		p.mu.Lock()
		p.creationPath = path
		p.mu.Unlock()
		_, _, spent, err := fetch(t, Request{Token: token, CAFile: p.caFile(t)})
		require.Equal(t, replication.InvalidInput, replication.KindOf(err))
		require.Contains(t, err.Error(), text)
		require.False(t, spent)
	}
	_, unwraps := p.counts()
	require.Zero(t, unwraps)

	p.mu.Lock()
	p.creationPath = "sys/replication/performance/primary/secondary-token"
	p.mu.Unlock()
	_, _, spent, err := fetch(t, Request{Token: token, Mode: replication.Performance, CAFile: p.caFile(t)})
	require.Equal(t, replication.InvalidInput, replication.KindOf(err), "the payload says the mode too")
	require.True(t, spent)
}

func TestFetchVerifiesTLS(t *testing.T) {
	t.Parallel()
	p := newFakePrimary(t, true)
	token := jwt(map[string]any{"addr": p.URL})
	p.wrap(t, token, samplePayload())
	_, _, spent, err := fetch(t, Request{Token: token})
	require.Equal(t, replication.Denied, replication.KindOf(err))
	require.Contains(t, err.Error(), "signed by a CA that is not trusted here")
	require.False(t, spent)

	_, port, err := net.SplitHostPort(p.Listener.Addr().String())
	require.NoError(t, err)
	_, _, _, err = fetch(t, Request{Token: token, PrimaryAPIAddr: "https://localhost:" + port, CAFile: p.caFile(t)})
	require.Equal(t, replication.Denied, replication.KindOf(err))
	require.Contains(t, err.Error(), "for another name")

	lookups, unwraps := p.counts()
	require.Zero(t, lookups+unwraps, "the token must not leave before the server is verified")
}

func TestFetchIgnoresTheEnvironment(t *testing.T) {
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	t.Setenv("VAULT_TOKEN", "hvs.of-the-server")
	t.Setenv("VAULT_NAMESPACE", "ns1")
	p := newFakePrimary(t, true)
	token := jwt(map[string]any{"addr": p.URL})
	p.wrap(t, token, samplePayload())
	_, _, _, err := fetch(t, Request{Token: token})
	require.Equal(t, replication.Denied, replication.KindOf(err), "verification cannot be switched off")
	_, _, _, err = fetch(t, Request{Token: token, CAFile: p.caFile(t)})
	require.NoError(t, err)
}

func TestFetchWithoutTLSOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	p := newFakePrimary(t, false)
	token := jwt(map[string]any{"addr": p.URL})
	p.wrap(t, token, samplePayload())
	_, _, _, err := fetch(t, Request{Token: token})
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	require.Contains(t, err.Error(), "without TLS")

	_, warnings, _, err := fetch(t, Request{Token: token, PrimaryAPIAddr: p.URL})
	require.NoError(t, err)
	require.Len(t, warnings, 1)
}

func TestFetchExplainsAddresses(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"", "vault.example.com:8200", "unix:///run/vault", "https://", "https://:8200",
		"https://user:pw@a:8200", "https://a:8200?x=1", "https://a:8200/v1/sys/seal", "ftp://a"} {
		_, _, spent, err := fetch(t, Request{Token: "hvs.x", PrimaryAPIAddr: addr})
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), addr)
		require.False(t, spent)
	}
}

// What a caller is told does not depend on what there is at an address that he chose.
// The log has it.
func TestFetchIsNoOracleOfTheNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := l.Addr().String()
	require.NoError(t, l.Close())
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for addr, cause := range map[string]string{
		closed: "connection refused",
		newFakePrimary(t, false).Listener.Addr().String(): "HTTP response to HTTPS client",
		silent.Addr().String():                            "context deadline exceeded",
		"no-such-host.invalid:8200":                       "lookup",
	} {
		var log bytes.Buffer
		client := &Client{Timeout: time.Second, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})}
		_, _, _, err = client.Fetch(context.Background(), Request{Mode: replication.DR, Token: "hvs.x",
			PrimaryAPIAddr: "https://" + addr})
		require.Equal(t, replication.Unreachable, replication.KindOf(err))
		require.EqualError(t, err, "https://"+addr+" cannot be reached from this node, or does not speak TLS: check "+
			"primary_api_addr, its port and the way to it; the log of this node has the cause")
		require.Contains(t, log.String(), cause)
	}
}

// What a caller is told does not depend on which files there are on this node.
func TestFetchIsNoOracleOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("secret text"), 0o600))
	for text, req := range map[string]Request{
		"no such file or directory":      {CAFile: filepath.Join(dir, "missing")},
		"holds no PEM certificate":       {CAFile: empty},
		"not a regular file":             {CAFile: dir},
		"cannot be read":                 {CAPath: filepath.Join(dir, "missing")},
		"no file with a PEM certificate": {CAPath: dir},
	} {
		req.Token, req.PrimaryAPIAddr = "hvs.x", "https://127.0.0.1:1"
		var log bytes.Buffer
		client := &Client{Logger: hclog.New(&hclog.LoggerOptions{Output: &log})}
		_, _, _, err := client.Fetch(context.Background(), req)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), text)
		require.EqualError(t, err, "ca_file or ca_path cannot be used: give a readable file, or a directory of files, with "+
			"the PEM certificate of the CA of the primary's API address; the log of this node says what is wrong with it")
		require.Contains(t, log.String(), text)
		require.NotContains(t, log.String(), "secret text")
	}
}

func TestFetchExplainsAnswers(t *testing.T) {
	t.Parallel()
	p := newFakePrimary(t, true)
	for status, kind := range map[int]replication.Kind{
		http.StatusForbidden:           replication.Denied,
		http.StatusNotFound:            replication.InvalidInput,
		http.StatusServiceUnavailable:  replication.Unavailable,
		http.StatusInternalServerError: replication.Unreachable,
		http.StatusBadGateway:          replication.Unreachable,
	} {
		p.mu.Lock()
		p.status = status
		p.mu.Unlock()
		_, _, spent, err := fetch(t, Request{Token: "hvs.x", PrimaryAPIAddr: p.URL, CAFile: p.caFile(t)})
		require.Equal(t, kind, replication.KindOf(err), status)
		require.False(t, spent)
	}
}

func TestFetchNamesTheWrongCluster(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"path disabled in replication DR secondary mode": "is a DR secondary itself",
		"error validating wrapping token: wrapping token signature could not be validated: go-jose: x": "was not made by " +
			"the cluster at",
	} {
		p := newFakePrimary(t, true)
		p.status, p.answer = http.StatusBadRequest, `{"errors":["`+text+`"]}`
		_, _, _, err := fetch(t, Request{Token: "hvs.x", PrimaryAPIAddr: p.URL, CAFile: p.caFile(t)})
		require.ErrorContains(t, err, want)
	}
}

func TestFetchIsBounded(t *testing.T) {
	t.Parallel()
	// It accepts connections and never speaks.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	client := &Client{Timeout: 50 * time.Millisecond}
	_, _, _, err = client.Fetch(context.Background(), Request{Mode: replication.DR, Token: "hvs.x",
		PrimaryAPIAddr: "https://" + l.Addr().String()})
	require.Equal(t, replication.Unreachable, replication.KindOf(err))
	require.Contains(t, err.Error(), "cannot be reached from this node")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, _, err = client.Fetch(ctx, Request{Mode: replication.DR, Token: "hvs.x", PrimaryAPIAddr: "https://" +
		l.Addr().String()})
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
}
