// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

// A DR secondary has no audit devices. Its log says who asked for what, and never has a
// token.
func TestOperationsAreLogged(t *testing.T) {
	t.Parallel()
	const below = "/v1/sys/replication/dr/secondary/"
	for _, c := range []struct {
		method, path, body, header string
		answers                    int
		want                       []string
	}{
		{"POST", below + "promote", `{"dr_operation_token":"secret"}`, "", 200,
			[]string{"[INFO]", "token=operation", "status=200"}},
		{"PUT", below + "disable", `{"dr_operation_token":"hvb.secret"}`, "", 403,
			[]string{"[WARN]", "token=batch", "status=403"}},
		{"PUT", below + "update-primary", `{"token":"secret"}`, "", 400, []string{"token=none", "status=400"}},
		{"POST", "/v1/sys/storage/raft/remove-peer", `{}`, "secret", 0, []string{"token=operation", "status=403"}},
		{"GET", "/v1/sys/replication/status", "", "", 200, nil},
		{"POST", "/v1/sys/decode-token", `{}`, "", 200, nil},
		{"POST", "/v1/sys/mounts/a", `{}`, "", 0, nil},
	} {
		var log bytes.Buffer
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, c.body, string(body))
			w.WriteHeader(c.answers)
		})
		node := &fakeNode{state: State{DRSecondary: true, Active: true}}
		g := Wrap(next, Options{Node: node, Tokens: fakeTokens{}, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
		do := func() {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.RemoteAddr = "192.0.2.7:1"
			if c.header != "" {
				r.Header.Set("X-Vault-Token", c.header)
			}
			g.ServeHTTP(httptest.NewRecorder(), r)
		}
		do()
		require.NotContains(t, log.String(), "secret")
		if c.want == nil {
			require.Empty(t, log.String(), c.path)
			continue
		}
		for _, part := range append(c.want, "path="+c.path, "client=192.0.2.7:1") {
			require.Contains(t, log.String(), part)
		}
		require.Equal(t, 1, strings.Count(log.String(), "\n"))

		node.set(State{DRSecondary: true})
		log.Reset()
		if c.header == "" {
			do()
		}
		require.Empty(t, log.String(), "the active node writes it")
	}
}
