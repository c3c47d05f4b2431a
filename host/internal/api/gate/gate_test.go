// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// fakeNode has a state that a test sets.
type fakeNode struct {
	mu    sync.Mutex
	state State
}

func (n *fakeNode) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

func (n *fakeNode) set(s State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = s
}

// fakeTokens allows "good" for everything below raft.
type fakeTokens struct{}

func (fakeTokens) Allow(_ context.Context, token string, use *logical.Request) error {
	switch {
	case token == "":
		return replication.Errorf(replication.InvalidInput, "dr_operation_token is missing")
	case token == "good" && strings.HasPrefix(use.Path, "sys/storage/raft/"):
		return nil
	}
	return replication.Errorf(replication.Denied, "the DR operation token is wrong")
}

// seen is the request that reached Vault.
type seen struct {
	called bool
	req    *http.Request
	body   string
	err    error
}

// try sends one request through a gate.
func try(o Options, r *http.Request) (*httptest.ResponseRecorder, *seen) {
	got := new(seen)
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.called, got.req = true, r
		data, err := io.ReadAll(r.Body)
		got.body, got.err = string(data), err
	})
	if o.OperationTokens == nil {
		o.OperationTokens = http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
		})
	}
	if o.Tokens == nil {
		o.Tokens = fakeTokens{}
	}
	w := httptest.NewRecorder()
	Wrap(next, o).ServeHTTP(w, r)
	return w, got
}

func secondary() Options {
	outside := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	return Options{Node: &fakeNode{state: State{DRSecondary: true, Active: true}}, Operator: outside, Snapshot: outside}
}

func requireRefused(t *testing.T, w *httptest.ResponseRecorder, got *seen, what string) {
	require.False(t, got.called, what)
	require.Equal(t, http.StatusBadRequest, w.Code, what)
	require.JSONEq(t, `{"errors":["path disabled in replication DR secondary mode"]}`, w.Body.String(), what)
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LIST", "SCAN", "RECOVER", "HELP", "OPTIONS",
	"CONNECT", "TRACE", "get"}

// TestTableIsExact holds the whole table, written down a second time.
func TestTableIsExact(t *testing.T) {
	t.Parallel()
	const r, d, s, op = "/v1/sys/replication/", "/v1/sys/replication/dr/", "/v1/sys/replication/dr/secondary/",
		"/v1/sys/replication/dr/secondary/generate-operation-token/"
	allowed := map[string]string{
		"/v1/sys/health": "GET HEAD", "/v1/sys/leader": "GET", "/v1/sys/seal-status": "GET",
		"/v1/sys/seal-backend-status": "GET",
		"/v1/sys/init":                "GET", "/v1/sys/unseal": "POST PUT", "/v1/sys/decode-token": "POST PUT",
		"/v1/sys/internal/ui/feature-flags":        "GET",
		"/v1/sys/storage/raft/bootstrap/challenge": "POST PUT", "/v1/sys/storage/raft/bootstrap/answer": "POST PUT",
		r + "status": "GET", d + "status": "GET", r + "performance/status": "GET",
		s + "promote": "POST PUT", s + "disable": "POST PUT", s + "recover": "POST PUT", s + "update-primary": "POST PUT",
		s + "operation-token/delete": "POST PUT",
		s + "reindex":                "POST PUT", s + "merkle-check": "POST PUT",
		s + "kept/list": "POST PUT", s + "kept/read": "POST PUT", s + "kept/remove": "POST PUT",
		op + "attempt": "GET POST PUT DELETE", op + "update": "POST PUT",
		s + "generate-public-key": "POST PUT", "/v1/sys/storage/raft/snapshot": "GET",
		"/v1/sys/storage/raft/configuration": "POST PUT", "/v1/sys/storage/raft/remove-peer": "POST PUT",
		"/v1/sys/storage/raft/autopilot/state": "GET", "/v1/sys/storage/raft/autopilot/configuration": "GET POST PUT",
	}
	require.Len(t, allowed, len(rules))
	for path, list := range allowed {
		for _, m := range methods {
			req := httptest.NewRequest(http.MethodGet, path, strings.NewReader(`{"dr_operation_token":"good"}`))
			req.Method = m
			w, got := try(secondary(), req)
			if strings.Contains(" "+list+" ", " "+m+" ") {
				require.True(t, got.called || w.Code == http.StatusAccepted, "%s %s", m, path)
			} else {
				requireRefused(t, w, got, m+" "+path)
			}
		}
	}
}

// TestEverythingElseIsRefused takes paths of Vault's API, most of them named in
// its table of paths that need no token or that are routes outside the core.
func TestEverythingElseIsRefused(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"sys/generate-root/attempt", "sys/generate-root/update", "sys/rekey/init", "sys/rekey/update", "sys/rekey/verify",
		"sys/rekey/backup",
		"sys/rekey-recovery-key/init", "sys/rekey-recovery-key/update", "sys/rekey-recovery-key/verify",
		"sys/generate-recovery-token/attempt",
		"sys/seal", "sys/step-down", "sys/rotate", "sys/raw/core/keyring", "sys/host-info", "sys/monitor",
		"sys/config/state/sanitized", "sys/ha-status",
		"sys/metrics", "sys/pprof/", "sys/pprof/heap", "sys/in-flight-req", "sys/mounts", "sys/auth", "sys/audit",
		"sys/policy", "sys/policies/acl/x",
		"sys/wrapping/lookup", "sys/wrapping/unwrap", "sys/wrapping/wrap", "sys/wrapping/pubkey",
		"sys/internal/specs/openapi", "sys/internal/ui/mounts",
		"sys/internal/ui/authenticated-messages", "sys/internal/ui/unauthenticated-messages", "sys/internal/ui/namespaces",
		"sys/mfa/validate",
		"sys/storage/raft/snapshot-force", "sys/storage/raft/snapshot-auto/status/x", "sys/storage/raft/join",
		"sys/storage/raft/bootstrap",
		"sys/storage/raft/autopilot",
		"sys/replication/recover", "sys/replication/reindex", "sys/replication/dr/primary/enable",
		"sys/replication/dr/primary/secondary-token",
		"sys/replication/dr/secondary/enable", "sys/replication/performance/secondary/generate-public-key",
		"sys/replication/merkle-check", "sys/replication/kept/list", "sys/replication/kept/read",
		"sys/replication/kept/remove",
		"sys/replication/dr/secondary/license/status", "sys/replication/performance/primary/enable",
		"sys/replication/primary/enable",
		"sys/replication/dr/secondary/generate-operation-token",
		"sys/replication/dr/secondary/generate-operation-token/decode",
		"auth/token/lookup-self", "auth/token/create", "auth/userpass/login/a", "identity/oidc/.well-known/keys",
		"cubbyhole/x", "secret/data/x", "", "sys", "sys/",
	} {
		for _, m := range methods {
			req := httptest.NewRequest(http.MethodGet, "/v1/"+path, strings.NewReader(`{"dr_operation_token":"good"}`))
			req.Method = m
			w, got := try(secondary(), req)
			requireRefused(t, w, got, m+" "+path)
		}
	}
}

func TestSpellingsDoNotGetPast(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"/v1/sys/health/", "//v1/sys/health", "/v1//sys/health", "/v1/sys//health", "/v1/sys/./health", "/v1/sys/x/../health",
		"/v1/sys/health/../mounts",
		"/v1/sys/%68ealth/%2e%2e/mounts", "/v1/sys/health%2f..%2fmounts", "/v1/sys%2Fhealth", "/v1/sys/health%00",
		"/v1/sys/health%20", "/v1/sys/health;x",
		"/V1/sys/health", "/v1/SYS/health", "/v1/sys/Health", "/v1/sys/health?help=1", "/v1/sys/health?x=1&help=",
		"/v1/ns1/sys/health", "/v2/sys/health",
		"/ui/../v1/sys/mounts", "/ui/%2e%2e/v1/sys/mounts", "/ui//x", "/ui/./x", "/ui/..", "/uix", "/robots.txt/x", "/v1/ui/",
		"/ui/a%2fb",
		"http://other/v1/sys/mounts",
	} {
		w, got := try(secondary(), httptest.NewRequest(http.MethodGet, target, nil))
		requireRefused(t, w, got, target)
	}
	// What a server decodes to the exact path is the exact path.
	_, got := try(secondary(), httptest.NewRequest(http.MethodGet, "http://other/v1/sys/healt%68", nil))
	require.True(t, got.called || got.req == nil)
	for _, target := range []string{"/", "/ui", "/ui/", "/ui/vault/auth", "/ui/assets/app.js", "/robots.txt",
		"/v1/sys/health?standbyok=true"} {
		_, got := try(secondary(), httptest.NewRequest(http.MethodGet, target, nil))
		require.True(t, got.called, target)
	}
}

func TestNamespacesDoNotReachReplication(t *testing.T) {
	t.Parallel()
	for ns, refused := range map[string]bool{"ns1": true, "/ns1/": true, "root": false, "/": false, "": false} {
		for path := range map[string]bool{"/v1/sys/replication/status": true, operationtoken.AttemptPath: true,
			"/v1/sys/storage/raft/autopilot/state": true} {
			req := httptest.NewRequest(http.MethodGet, path, strings.NewReader(`{"dr_operation_token":"good"}`))
			req.Header.Set("X-Vault-Namespace", ns)
			w, got := try(secondary(), req)
			if refused {
				requireRefused(t, w, got, ns+path)
			} else {
				require.NotEqual(t, http.StatusBadRequest, w.Code, ns+path)
			}
		}
	}
	// The same on a cluster of another role.
	for path, want := range map[string]string{"/v1/sys/replication/status": "root namespace alone",
		"/v1/sys/replication/dr/primary/secondary-token": "root namespace alone", "/v1/sys/mounts": ""} {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set("X-Vault-Namespace", "ns1")
		w, got := try(Options{Node: new(fakeNode)}, req)
		require.Equal(t, want == "", got.called, path)
		require.Contains(t, w.Body.String(), want)
	}
	req := httptest.NewRequest(http.MethodGet, "/v1/sys/health", nil)
	req.Header["X-Vault-Namespace"] = []string{"", "ns1"}
	_, got := try(secondary(), req)
	require.True(t, got.called, "health is the node's, not a namespace's")
}

func TestListenerOpensWithoutToken(t *testing.T) {
	t.Parallel()
	o := secondary()
	o.UnauthenticatedMetrics, o.UnauthenticatedProfiling, o.UnauthenticatedInFlight = true, true, true
	for _, path := range []string{"/v1/sys/metrics", "/v1/sys/pprof/heap", "/v1/sys/pprof/", "/v1/sys/in-flight-req"} {
		_, got := try(o, httptest.NewRequest(http.MethodGet, path, nil))
		require.True(t, got.called, path)
		w, got := try(o, httptest.NewRequest(http.MethodPost, path, nil))
		requireRefused(t, w, got, path)
	}
	w, got := try(o, httptest.NewRequest(http.MethodGet, "/v1/sys/pprof/../mounts", nil))
	requireRefused(t, w, got, "pprof")
}

func TestRaftAdministrationNeedsTheToken(t *testing.T) {
	t.Parallel()
	const path = "/v1/sys/storage/raft/configuration"
	for body, status := range map[string]int{
		"":                              400,
		"{}":                            400,
		"not json":                      400,
		`["good"]`:                      400,
		`{"dr_operation_token":7}`:      400,
		`{"dr_operation_token":""}`:     400,
		`{"DR_OPERATION_TOKEN":"good"}`: 400,
		`dr_operation_token=good`:       400,
		`{"dr_operation_token":"bad"}`:  403,
		`{"dr_operation_token":"good","x":"` + strings.Repeat("x", adminBodyMax) + `"}`: 400,
	} {
		w, got := try(secondary(), httptest.NewRequest(http.MethodPut, path, strings.NewReader(body)))
		require.False(t, got.called)
		require.Equal(t, status, w.Code, w.Body.String())
		var out struct{ Errors []string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		require.Len(t, out.Errors, 1)
	}
	req := httptest.NewRequest(http.MethodPut, path+"?dr_operation_token=good", nil)
	_, got := try(secondary(), req)
	require.False(t, got.called, "a token in a URL is in logs: it is not accepted")

	body := `{"server_id":"n2", "dr_operation_token":"good"}`
	req = httptest.NewRequest(http.MethodPost, "/v1/sys/storage/raft/remove-peer", strings.NewReader(body))
	req.Header.Set("X-Vault-Token", "hvs.stale")
	_, got = try(secondary(), req)
	require.True(t, got.called)
	require.Equal(t, body, got.body, "the body is handed on unchanged")
	require.EqualValues(t, len(body), got.req.ContentLength)
	require.Empty(t, got.req.Header.Get("X-Vault-Token"))
}

// The stock CLI puts the token of -dr-token into the header for autopilot.
func TestRaftAdministrationTakesTheTokenOfTheHeader(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequest(http.MethodGet, "/v1/sys/storage/raft/autopilot/state?dr_operation_token=x", nil)
	req.Header.Set("X-Vault-Token", "good")
	_, got := try(secondary(), req)
	require.True(t, got.called)
	require.Equal(t, []string{"good"}, got.req.URL.Query()["dr_operation_token"])
	require.Empty(t, got.req.Header.Get("X-Vault-Token"))

	req = httptest.NewRequest(http.MethodPost, "/v1/sys/storage/raft/autopilot/configuration",
		strings.NewReader(`{"min_quorum":3}`))
	req.Header.Set("Authorization", "Bearer good")
	_, got = try(secondary(), req)
	require.True(t, got.called)
	require.JSONEq(t, `{"min_quorum":3,"dr_operation_token":"good"}`, got.body)
	require.EqualValues(t, len(got.body), got.req.ContentLength)

	req = httptest.NewRequest(http.MethodGet, "/v1/sys/storage/raft/autopilot/state", nil)
	req.Header.Set("X-Vault-Token", "hvs.root")
	w, got := try(secondary(), req)
	require.False(t, got.called)
	require.Equal(t, http.StatusForbidden, w.Code)
}

func TestStandbyForwards(t *testing.T) {
	t.Parallel()
	o := Options{Node: &fakeNode{state: State{DRSecondary: true}}}
	// The active node's gate checks the token.
	_, got := try(o, httptest.NewRequest(http.MethodPut, "/v1/sys/storage/raft/configuration",
		strings.NewReader(`{"dr_operation_token":"x"}`)))
	require.Equal(t, `{"dr_operation_token":"x"}`, got.body)
	_, got = try(o, httptest.NewRequest(http.MethodGet, operationtoken.AttemptPath, nil))
	require.True(t, got.called)
	w, got := try(o, httptest.NewRequest(http.MethodGet, "/v1/sys/mounts", nil))
	requireRefused(t, w, got, "mounts")

	o.Forward = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w, got = try(o, httptest.NewRequest(http.MethodGet, operationtoken.AttemptPath, nil))
	require.Equal(t, http.StatusTeapot, w.Code)
	require.False(t, got.called)
}

func TestOtherNodesPassEverything(t *testing.T) {
	t.Parallel()
	for _, state := range []State{{Active: true}, {}, {Sealed: true}, {Sealed: true, DRSecondary: true}} {
		o := Options{Node: &fakeNode{state: state}}
		for _, path := range []string{"/v1/secret/x", "/v1/sys/generate-root/attempt", "/v1/sys/storage/raft/configuration",
			"/v1/sys/health"} {
			_, got := try(o, httptest.NewRequest(http.MethodPut, path, strings.NewReader("body")))
			require.Equal(t, "body", got.body, path)
		}
		w, got := try(o, httptest.NewRequest(http.MethodGet, operationtoken.AttemptPath, nil))
		require.Equal(t, state.Sealed, got.called, "a sealed node gives Vault's own answer")
		if !state.Sealed {
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Contains(t, w.Body.String(), "this cluster is none")
		}
	}
}

func TestInternalHeadersOfClientsAreRemoved(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{secondary(), {Node: new(fakeNode)}} {
		req := httptest.NewRequest(http.MethodGet, "/v1/sys/health", nil)
		req.Header["X-Vault-Replication-Origin"] = []string{"x"}
		req.Header["x-vault-replication-lower"] = []string{"x"}
		req.Header.Set("X-Vault-Request", "true")
		_, got := try(o, req)
		require.Equal(t, http.Header{"X-Vault-Request": {"true"}}, got.req.Header)
	}
}

func TestNothingArmsAnAllowedRequest(t *testing.T) {
	t.Parallel()
	for path, keepsToken := range map[string]bool{"/v1/sys/replication/dr/status": false,
		"/v1/sys/storage/raft/autopilot/state": true} {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		for _, name := range []string{"X-Vault-Wrap-TTL", "X-Vault-Wrap-Format", "X-Vault-MFA", "X-Vault-Policy-Override",
			"X-Vault-Token", "Authorization", "X-Vault-Request"} {
			req.Header.Set(name, "x")
		}
		// A standby, which leaves the token for the active node's gate.
		_, got := try(Options{Node: &fakeNode{state: State{DRSecondary: true}}}, req)
		want := http.Header{"X-Vault-Request": {"x"}}
		if keepsToken {
			want["X-Vault-Token"], want["Authorization"] = []string{"x"}, []string{"x"}
		}
		require.Equal(t, want, got.req.Header)
	}
	req := httptest.NewRequest(http.MethodGet, "/v1/secret/x", nil)
	req.Header.Set("X-Vault-Wrap-TTL", "60")
	_, got := try(Options{Node: new(fakeNode)}, req)
	require.Equal(t, "60", got.req.Header.Get("X-Vault-Wrap-TTL"), "nothing changes elsewhere")
}

// heldBody is a body whose end a client holds back.
type heldBody struct{ read func() (string, error) }

func (b heldBody) Read(p []byte) (int, error) { s, err := b.read(); return copy(p, s), err }
func (heldBody) Close() error                 { return nil }

func TestHeldBodyDoesNotOutliveTheRole(t *testing.T) {
	t.Parallel()
	for path, cut := range map[string]bool{
		"/v1/sys/generate-root/update":             true,
		"/v1/sys/storage/raft/remove-peer":         true,
		"/v1/sys/unseal":                           false,
		"/v1/sys/replication/dr/secondary/promote": false,
	} {
		node := &fakeNode{state: State{Sealed: true}}
		parts := []string{`{"key":`, `"x"}`}
		req := httptest.NewRequest(http.MethodPut, path, heldBody{func() (string, error) {
			if len(parts) == 0 {
				return "", io.EOF
			}
			part := parts[0]
			parts = parts[1:]
			if len(parts) == 0 {
				node.set(State{DRSecondary: true, Active: true})
			}
			return part, nil
		}})
		_, got := try(Options{Node: node}, req)
		if cut {
			require.ErrorIs(t, got.err, errRoleChanged, path)
			require.Equal(t, `{"key":`, got.body, path)
		} else {
			require.NoError(t, got.err, path)
		}
	}
}

// The token is asked for the request as a policy sees it: with its parameters and the
// client's address, without the token.
func TestTokensAreAskedForTheWholeRequest(t *testing.T) {
	t.Parallel()
	uses := make(recordedUses, 1)
	node := new(fakeNode)
	node.set(State{DRSecondary: true, Active: true})
	g := Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), Options{Node: node, Tokens: uses})
	r := httptest.NewRequest(http.MethodPost, "/v1/sys/storage/raft/remove-peer",
		strings.NewReader(`{"dr_operation_token":"good","server_id":"b","many":[1,2]}`))
	r.RemoteAddr = "192.0.2.7:4711"
	g.ServeHTTP(httptest.NewRecorder(), r)
	use := <-uses
	require.Equal(t, "sys/storage/raft/remove-peer", use.Path)
	require.Equal(t, "192.0.2.7", use.Connection.RemoteAddr)
	require.Equal(t, map[string]any{"server_id": "b", "many": []any{json.Number("1"), json.Number("2")}}, use.Data)
}

// The core would ask for a token of its own, so it is asked for neither.
func TestServedOutsideOfTheCore(t *testing.T) {
	t.Parallel()
	for path, method := range map[string]string{snapshotPath: http.MethodGet, publicKeyPath: http.MethodPost} {
		for token, want := range map[string]int{"good": http.StatusAccepted, "bad": http.StatusForbidden,
			"": http.StatusBadRequest} {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("X-Vault-Token", token)
			w, got := try(secondary(), r)
			if path == publicKeyPath {
				want = http.StatusAccepted // the handler asks for the token in the body
			}
			require.Equal(t, want, w.Code, "%s %s with %q", method, path, token)
			require.False(t, got.called)
		}
		// A standby hands it on.
		o := secondary()
		o.Node = &fakeNode{state: State{DRSecondary: true}}
		_, got := try(o, httptest.NewRequest(method, path, nil))
		require.True(t, got.called)
		w, got := try(Options{Node: secondary().Node}, func() *http.Request {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("X-Vault-Token", "good")
			return r
		}())
		requireRefused(t, w, got, path)
	}
}

// On the primary an update of the path restores a snapshot.
func TestASnapshotIsRead(t *testing.T) {
	t.Parallel()
	uses := make(recordedUses, 1)
	o := secondary()
	o.Tokens = uses
	r := httptest.NewRequest(http.MethodGet, snapshotPath, nil)
	r.Header.Set("X-Vault-Token", "batch")
	w, _ := try(o, r)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, logical.Operation(logical.ReadOperation), (<-uses).Operation)
}

type recordedUses chan *logical.Request

func (u recordedUses) Allow(_ context.Context, _ string, use *logical.Request) error {
	u <- use
	return replication.Errorf(replication.Denied, "no")
}

// Vault takes the role of a standby from heartbeats, and there are none yet, or none any more.
func TestHealthOfAStandbyIsThatOfADRSecondary(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                                 "standbycode=472",
		"?standbyok=true":                  "standbycode=472",
		"?standbycode=299&sealedcode=298":  "sealedcode=298&standbycode=472",
		"?drsecondarycode=297&standbyok=1": "drsecondarycode=297&standbycode=297",
	} {
		asked := httptest.NewRequest(http.MethodGet, "/v1/sys/health"+query, nil)
		_, got := try(Options{Node: &fakeNode{state: State{DRSecondary: true}}}, asked)
		require.Equal(t, want, got.req.URL.RawQuery, query)
	}
	asked := httptest.NewRequest(http.MethodGet, "/v1/sys/health?standbyok=true", nil)
	_, got := try(Options{Node: &fakeNode{state: State{DRSecondary: true, Active: true}}}, asked)
	require.Equal(t, "standbyok=true", got.req.URL.RawQuery, "the active node knows its role")
}
