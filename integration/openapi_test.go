// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// served are the paths that a DR secondary serves without any token, each with
// the reason. Other methods of theirs are refused as any other path.
var served = map[string]string{
	"sys/health":                           "load balancers",
	"sys/leader":                           "load balancers",
	"sys/seal-status":                      "operators unseal the node",
	"sys/seal-backend-status":              "operators unseal the node",
	"sys/unseal":                           "operators unseal the node",
	"sys/init":                             "says that it is initialised",
	"sys/internal/ui/feature-flags":        "the user interface's first page",
	"sys/replication/status":               "status",
	"sys/replication/dr/status":            "status",
	"sys/replication/performance/status":   "status",
	"sys/storage/raft/bootstrap/challenge": "nodes join the cluster",
	"sys/storage/raft/bootstrap/answer":    "nodes join the cluster",
	"sys/decode-token":                     "computes on its input alone",
	"sys/replication/dr/secondary/generate-operation-token/attempt": "key shares are the credential",
	"sys/replication/dr/secondary/generate-operation-token/update":  "key shares are the credential",
}

// guarded are the paths that want a DR operation token in the body.
var guarded = map[string]bool{
	"sys/replication/dr/secondary/recover":                true,
	"sys/replication/dr/secondary/promote":                true,
	"sys/replication/dr/secondary/disable":                true,
	"sys/replication/dr/secondary/update-primary":         true,
	"sys/replication/dr/secondary/operation-token/delete": true,
	"sys/replication/dr/secondary/reindex":                true,
	"sys/replication/dr/secondary/merkle-check":           true,
	"sys/replication/dr/secondary/kept/list":              true,
	"sys/replication/dr/secondary/kept/read":              true,
	"sys/replication/dr/secondary/kept/remove":            true,
	"sys/replication/dr/secondary/generate-public-key":    true,
	"sys/storage/raft/snapshot":                           true,
	"sys/storage/raft/configuration":                      true,
	"sys/storage/raft/remove-peer":                        true,
	"sys/storage/raft/autopilot/state":                    true,
	"sys/storage/raft/autopilot/configuration":            true,
}

// Every operation of every path that the product itself documents is refused on
// a DR secondary without a token, except those above; and those change nothing.
func TestDRSecondaryRefusesEveryPath(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	document, err := primary.Node(0).APIClient().Logical().ReadWithContext(ctx, "sys/internal/specs/openapi")
	require.NoError(t, err)
	paths, ok := document.Data["paths"].(map[string]any)
	require.True(t, ok, "the document has paths")
	require.Greater(t, len(paths), 300, "the document has the engines' paths too")
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	for path, item := range paths {
		name := strings.TrimPrefix(path, "/")
		operations, ok := item.(map[string]any)
		require.True(t, ok)
		for _, method := range []string{"get", "post", "delete"} {
			if operations[method] == nil {
				continue
			}
			code, body := call(ctx, t, secondary, strings.ToUpper(method), filled(name))
			if guarded[name] {
				require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden}, code, "%s %s: %s", method, name, body)
				continue
			}
			if served[name] != "" {
				continue
			}
			require.Equal(t, http.StatusBadRequest, code, "%s %s: %s", method, name, body)
			require.Contains(t, body, "path disabled in replication DR secondary mode", "%s %s", method, name)
		}
	}
	requireSecondary(t, secondary)
	require.NoError(t, secondary.WaitEqual(ctx, primary))
}

// Spellings of a path that a router might take for it are refused as well.
func TestDRSecondaryRefusesOtherSpellings(t *testing.T) {
	parallel(t)
	_, secondary := pair(t, cluster.Options{})
	for _, path := range []string{
		"sys/mounts/", "sys//mounts", "sys/./mounts", "sys/health/../mounts", "sys/%6dounts", "SYS/mounts",
		"sys/storage/raft/configuration", "sys/generate-root/attempt", "sys/rekey/init", "sys/seal", "sys/step-down",
		"sys/health/x", "sys/replication/dr/statusx", "sys/replication/dr/secondary/promote/../../../../mounts",
		"sys/raw/core/mounts",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, "LIST",
			http.MethodPatch} {
			code, body := call(t.Context(), t, secondary, method, path)
			require.False(t, code < 300, "%s %s: %d %s", method, path, code, body)
			if code >= 300 && code < 400 {
				continue // the mux cleans the path; the clean one is tested as such
			}
			require.True(t, slices.Contains([]int{400, 404, 405}, code), "%s %s: %d %s", method, path, code, body)
		}
	}
	requireSecondary(t, secondary)
}

// filled replaces the parameters of a documented path.
func filled(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = "x"
		}
	}
	return strings.Join(parts, "/")
}

func call(ctx context.Context, t *testing.T, c *cluster.Cluster, method, path string) (int, string) {
	t.Helper()
	node := c.Node(0)
	request, err := http.NewRequestWithContext(ctx, method, node.Address()+"/v1/"+path, bytes.NewReader([]byte("{}")))
	require.NoError(t, err)
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: node.TLSConfig().Clone(), DisableKeepAlives: true,
			ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	require.NoError(t, err, "%s %s", method, path)
	defer response.Body.Close() // read to its end
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}
