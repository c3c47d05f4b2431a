// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// The limits of JSON that a listener has, raised above Vault's defaults, hold on every node of
// both clusters: what one takes all take, and what one refuses all refuse. One limit more is that
// of a request that is forwarded, which docs/compatibility.md names.
func TestRaisedJSONLimitsHoldOnEveryNode(t *testing.T) {
	parallelAlone(t)
	ctx := t.Context()
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Nodes: 3, Shares: 3,
		Threshold: 2, MaxEntrySize: 8 << 20, ListenerHCL: `
  max_json_depth                = 700
  max_json_string_value_length  = 2000000
  max_json_object_entry_count   = 20000
  max_json_array_element_count  = 20000
  max_json_token                = 1000000`}
	primary := cluster.New(t, opts)
	opts.Name, opts.Shares, opts.Threshold = "secondary", 1, 1
	secondary := cluster.New(t, opts)
	require.NoError(t, primary.WaitVoters(ctx))
	require.NoError(t, secondary.WaitVoters(ctx))
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	requireOpenedAnew(t, secondary)
	requireMode(t, secondary, performanceMode, "secondary")
	mounted(t, primary, secondary, "kv")

	var nodes []*cluster.Node
	for _, c := range []*cluster.Cluster{primary, secondary} {
		require.NoError(t, c.WaitActive(ctx))
		for i := range c.Nodes() {
			nodes = append(nodes, c.Node(i))
		}
	}
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	for name, body := range map[string]func(times float64) string{
		"depth": func(times float64) string {
			n := int(600 * times)
			return strings.Repeat("[", n) + strings.Repeat("]", n)
		},
		"string": func(times float64) string { return `"` + strings.Repeat("a", int(1_500_000*times)) + `"` },
		"entries": func(times float64) string {
			var entries []string
			for i := range int(15_000 * times) {
				entries = append(entries, fmt.Sprintf(`"%d":1`, i))
			}
			return "{" + strings.Join(entries, ",") + "}"
		},
		"elements": func(times float64) string { return list(int(15_000 * times)) },
		"tokens": func(times float64) string {
			return "[" + strings.TrimSuffix(strings.Repeat(list(15_000)+",", int(30*times)), ",") + "]"
		},
	} {
		for _, n := range nodes {
			want := http.StatusNoContent
			if name == "tokens" && strings.HasPrefix(n.Name(), "secondary") {
				want = http.StatusBadRequest // what is forwarded may not take that much memory
			}
			require.Equal(t, want, sendBody(t, n, name, `{"v":`+body(1)+`}`), "%s: %s", n.Name(), name)
			require.Equal(t, http.StatusInternalServerError, sendBody(t, n, name, `{"v":`+body(1.5)+`}`),
				"%s: %s above the limit", n.Name(), name)
		}
	}
}

// sendBody writes a secret with a body as it is, and returns the status of the answer. On a
// machine that is busy a cluster may have no active node for a moment: it is asked again.
func sendBody(t *testing.T, n *cluster.Node, key, body string) (status int) {
	t.Helper()
	c, err := n.APIClient().Clone()
	require.NoError(t, err)
	c.SetToken(n.APIClient().Token())
	c.SetMaxRetries(0)
	cluster.Eventually(t, time.Minute, n.Name()+" has an active node", func(ctx context.Context) error {
		_, err := c.Logical().WriteBytesWithContext(ctx, "kv/"+key+"-"+n.Name(), []byte(body))
		var answer *api.ResponseError
		switch {
		case errors.As(err, &answer) && answer.StatusCode != http.StatusServiceUnavailable:
			t.Logf("%s: %s: %d %v", n.Name(), key, answer.StatusCode, answer.Errors)
			status, err = answer.StatusCode, nil
		case err == nil:
			status = http.StatusNoContent
		}
		return err
	})
	return status
}
