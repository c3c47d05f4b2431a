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
			_, _ = io.WriteString(w, `{"replication_dr_mode":"secondary","replication_performance_mode":"bootstrapping","server_time_utc":1800000000}`)
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
