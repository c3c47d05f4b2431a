// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// forbidden are paths that a DR secondary does not serve.
var forbidden = []string{
	"sys/mounts", "sys/auth", "cubbyhole/a", "auth/token/lookup-self", "sys/storage/raft/configuration",
	"sys/storage/raft/snapshot",
	"sys/generate-root/attempt", "sys/policies/acl", "sys/internal/specs/openapi",
	"sys/replication/dr/primary/secondary-token", "identity/entity/id",
}

// A standby that was opened while its cluster was a primary has not heard of the
// demotion: it forwards over the cluster port, where the active node refuses.
func TestForwardedRequestsMeetTheGate(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{Name: "demoted", Binary: product(t), CA: cluster.NewTestCA(t), Nodes: 3})
	require.NoError(t, c.EnableDRPrimary(ctx))
	_, err := c.Node(1).APIClient().Logical().WriteWithContext(ctx, "cubbyhole/a", map[string]any{"b": "c"})
	require.NoError(t, err, "a standby forwards")
	_, err = c.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathPrimaryDemote, nil)
	require.NoError(t, err)
	require.NoError(t, c.Node(0).WaitRole(ctx, "secondary"))
	for i := range 3 {
		health, err := c.Node(i).Health(ctx)
		require.NoError(t, err)
		t.Logf("%s: sealed %t, standby %t, DR mode %s", c.Node(i).Name(), health.Sealed, health.Standby,
			health.ReplicationDRMode)
		requireGate(t, c.Node(i), c.GetRootToken())
	}
}

// A standby of a DR secondary answers as the active node does, whether it answers
// itself or forwards over the cluster port.
func TestStandbysOfADRSecondaryMeetTheGate(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	primary := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), CA: ca, Shares: 3, Threshold: 2})
	secondary := cluster.New(t, cluster.Options{Name: "secondary", Binary: product(t), CA: ca, Nodes: 3})
	// A node without a vote could not take over below.
	require.NoError(t, cluster.Wait(ctx, "all nodes have a vote", func(ctx context.Context) error {
		secret, err := secondary.Node(0).APIClient().Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
		if err != nil {
			return err
		}
		if text := fmt.Sprint(secret.Data); strings.Count(text, "voter:true") != 3 {
			return errors.New(text)
		}
		return nil
	}))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	_, err := primary.Node(0).APIClient().Logical().Write("cubbyhole/a", map[string]any{"b": "c"})
	require.NoError(t, err)
	require.NoError(t, secondary.JoinDR(ctx, primary))
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	for _, i := range []int{1, 2} {
		n := secondary.Node(i)
		// It was opened with the keys that are void now: whatever it answers, it is
		// nothing of the primary's.
		for _, path := range forbidden {
			code, body := ask(t, n, http.MethodGet, path, primary.GetRootToken())
			t.Logf("%s before its restart: %s: %d %s", n.Name(), path, code, body)
			require.GreaterOrEqual(t, code, http.StatusBadRequest, "%s: %s", path, body)
		}
		require.NoError(t, n.Terminate(ctx))
		require.NoError(t, n.Start(ctx))
		require.NoError(t, n.Unseal(ctx), "the primary's shares open the standby")
		require.NoError(t, cluster.Wait(ctx, n.Name()+" is a standby", func(ctx context.Context) error {
			health, err := n.Health(ctx)
			switch {
			case err != nil:
				return err
			case health.Sealed || !health.Standby:
				return errors.New("not a standby yet")
			}
			return nil
		}))
	}
	for _, i := range []int{1, 2} {
		requireGate(t, secondary.Node(i), primary.GetRootToken())
	}
	// When the active node goes, another one takes over in the same role.
	require.NoError(t, secondary.Node(0).Terminate(ctx))
	active := requireActive(ctx, t, secondary)
	requireGate(t, active, primary.GetRootToken())
	require.NoError(t, active.WaitStreaming(ctx))
}

func requireActive(ctx context.Context, t *testing.T, c *cluster.Cluster) *cluster.Node {
	t.Helper()
	require.NoError(t, c.WaitActive(ctx))
	n, err := c.Active(ctx)
	require.NoError(t, err)
	return n
}

// requireGate asks a node for what a DR secondary must not give, with the
// strongest token there is and with none. A standby that finds no active node for a
// moment says so, and when to come again: that is done.
func requireGate(t *testing.T, n *cluster.Node, root string) {
	t.Helper()
	for _, path := range forbidden {
		for _, token := range []string{root, ""} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, "LIST"} {
				var code int
				var body string
				cluster.Eventually(t, limit, n.Name()+" finds the active node", func(context.Context) error {
					if code, body = ask(t, n, method, path, token); code == http.StatusServiceUnavailable {
						return errors.New(body)
					}
					return nil
				})
				what := fmt.Sprintf("%s %s at %s, root %t: %s", method, path, n.Name(), token != "", body)
				if path == "sys/storage/raft/configuration" && method == http.MethodPut ||
					path == "sys/storage/raft/snapshot" && method == http.MethodGet {
					require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden}, code, what)
					continue
				}
				require.Equal(t, http.StatusBadRequest, code, what)
				require.Contains(t, body, "path disabled in replication DR secondary mode", what)
			}
		}
	}
	code, body := ask(t, n, http.MethodGet, cluster.PathStatus, "")
	require.Equal(t, http.StatusOK, code, body)
	require.Contains(t, body, `"mode":"secondary"`)
}

func ask(t *testing.T, n *cluster.Node, method, path, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, n.Address()+"/v1/"+path, strings.NewReader("{}"))
	require.NoError(t, err)
	request.Header.Set("X-Vault-Token", token)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLSConfig().Clone(), DisableKeepAlives: true,
		ForceAttemptHTTP2: true}}
	response, err := client.Do(request)
	require.NoError(t, err, "%s %s", method, path)
	defer response.Body.Close() // read to its end
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(bytes.TrimSpace(body))
}
