// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whose primary is gone can be given another one, and nothing else.
func TestOperatorOfABootstrappingSecondary(t *testing.T) {
	t.Parallel()
	answers := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Empty(t, r.Header.Get("X-Vault-Token"))
			require.Empty(t, r.Header.Get("X-Vault-Wrap-Ttl"))
			_, _ = io.WriteString(w, name)
		})
	}
	node := &fakeNode{state: State{Bootstrapping: true, Active: true}}
	g := Wrap(answers("vault"), Options{
		Node: node, Tokens: fakeTokens{}, OperationTokens: answers("collector"), Operator: answers("operator"),
		Forward: answers("active node"),
	})
	do := func(method, path string, header ...string) (int, string) {
		req := httptest.NewRequest(method, path, strings.NewReader("{}"))
		req.Header.Set("X-Vault-Token", "hvs.old")
		req.Header.Set("X-Vault-Wrap-Ttl", "1h")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}
	const update = "/v1/sys/replication/performance/secondary/update-primary"
	const attempt = "/v1/sys/replication/dr/secondary/generate-operation-token/attempt"
	served := map[string]string{
		"PUT " + update: "operator", "POST " + update: "operator", "POST /v1/sys/replication/recover": "operator",
		"PUT /v1/sys/replication/secondary/update-primary": "operator",
		"GET " + attempt: "collector", "DELETE " + attempt: "collector",
		"PUT " + strings.Replace(attempt, "attempt", "update", 1): "collector",
	}
	for request, want := range served {
		method, path, _ := strings.Cut(request, " ")
		_, body := do(method, path)
		require.Equal(t, want, body, request)
		code, _ := do(method, path, "X-Vault-Namespace", "team")
		require.Equal(t, 503, code, request)
	}
	for _, request := range []string{
		"GET " + update, "DELETE " + update, "PUT /v1/sys/replication/performance/secondary/%75pdate-primary",
		"PUT /v1/sys/replication/performance/secondary/promote", "PUT /v1/sys/replication/performance/secondary/disable",
		"PUT /v1/sys/replication/dr/secondary/update-primary", "PATCH " + attempt,
	} {
		method, path, _ := strings.Cut(request, " ")
		code, _ := do(method, path)
		require.Equal(t, 503, code, request)
	}
	node.state.Active = false
	for request := range served {
		method, path, _ := strings.Cut(request, " ")
		_, body := do(method, path)
		require.Equal(t, "active node", body, request)
	}
	node.state = State{DRSecondary: true, Active: true}
	code, _ := do(http.MethodPut, update)
	require.Equal(t, 400, code)
}

// A performance secondary that is bootstrapping tells its state and serves
// nothing, not even what a DR secondary lets a DR operation token do.
func TestBootstrapping(t *testing.T) {
	t.Parallel()
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Header.Get("X-Vault-Token"))
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == healthPath {
			code := 472
			if other := r.URL.Query().Get("drsecondarycode"); other != "" {
				code, _ = strconv.Atoi(other)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w,
				`{"replication_dr_mode":"secondary","replication_performance_mode":"bootstrapping","server_time_utc":1800000000}`)
			return
		}
		_, _ = io.WriteString(w, `{"from":"vault"}`)
	})
	g := Wrap(next, Options{Node: &fakeNode{state: State{Bootstrapping: true, Active: true}}, Tokens: fakeTokens{}})
	do := func(method, path string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, strings.NewReader("{}"))
		req.Header.Set("X-Vault-Token", "hvs.old")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, req)
		return w
	}
	for _, path := range []string{"/v1/sys/seal-status", "/v1/sys/replication/performance/status", "/v1/sys/leader"} {
		require.Equal(t, 200, do(http.MethodGet, path).Code, path)
	}
	for path, method := range map[string]string{
		"/v1/secret/a": http.MethodGet, "/v1/sys/mounts": http.MethodGet, "/v1/auth/userpass/login/a": http.MethodPost,
		"/v1/sys/replication/dr/secondary/promote":                          http.MethodPost,
		"/v1/sys/replication/dr/secondary/generate-operation-token/attempt": http.MethodPost,
		"/v1/sys/storage/raft/remove-peer":                                  http.MethodPost,
	} {
		w := do(method, path)
		require.Equal(t, 503, w.Code, path)
		require.Contains(t, w.Body.String(), "bootstrapping", path)
	}
	// It is no DR secondary, and no load balancer may take it for a cluster that
	// serves, whatever it takes a DR secondary for.
	for query, code := range map[string]int{
		"": 503, "?drsecondarycode=200": 503, "?standbyok=true&drsecondarycode=200": 503,
		// The stock client asks so, to be able to read the answer.
		"?drsecondarycode=299&sealedcode=298": 298,
	} {
		w := do(http.MethodGet, healthPath+query)
		require.Equal(t, code, w.Code, query)
		require.JSONEq(t, `{"replication_dr_mode":"disabled","replication_performance_mode":"bootstrapping","server_time_utc":1800000000}`, w.Body.String())
	}
}
