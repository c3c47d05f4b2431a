// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A write that the secondary forwards is answered only after the secondary has
// applied it, so its client never reads an older value. The reads are not retried:
// a retry would hide the fault.
func TestPerformanceReadsItsOwnWrites(t *testing.T) {
	parallel(t)
	_, secondary := performancePair(t)
	c := secondary.Node(0).APIClient()
	require.NoError(t, c.Sys().MountWithContext(t.Context(), "kv1", &api.MountInput{Type: "kv"}))
	const policy = `path "kv1/%d" { capabilities = ["read"] }`
	for i := range 250 {
		want := fmt.Sprint(i)
		write(t, c, "kv1/counter", map[string]any{"value": want})
		read, err := c.Logical().ReadWithContext(t.Context(), "kv1/counter")
		require.NoError(t, err)
		require.NotNil(t, read)
		require.Equal(t, want, read.Data["value"])

		rules := fmt.Sprintf(policy, i)
		require.NoError(t, c.Sys().PutPolicyWithContext(t.Context(), "changing", rules))
		got, err := c.Sys().GetPolicyWithContext(t.Context(), "changing")
		require.NoError(t, err)
		require.Equal(t, rules, got)
	}
}

// The index that the primary returns for a write makes the secondary answer with
// that write or refuse, never with an older value.
func TestPerformanceIndexCrossesClusters(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	p, s := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	require.NoError(t, p.Sys().MountWithContext(t.Context(), "kv1", &api.MountInput{Type: "kv"}))
	for i := range 100 {
		var state string
		want := fmt.Sprint(i)
		_, err := p.WithResponseCallbacks(api.RecordState(&state)).Logical().WriteWithContext(t.Context(), "kv1/counter",
			map[string]any{"value": want})
		require.NoError(t, err)
		require.NotEmpty(t, state, "the primary returned no X-Vault-Index")
		// The client of the API retries a 412, as documented.
		read, err := s.WithRequestCallbacks(api.RequireState(state)).Logical().ReadWithContext(t.Context(), "kv1/counter")
		require.NoError(t, err)
		require.NotNil(t, read)
		require.Equal(t, want, read.Data["value"])
	}
}

// With the link cut a secondary answers no request that asks for more than it has;
// with it whole what it sent to the primary can be asked for there.
func TestPerformanceIndexWhileTheLinkIsCut(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	link, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(link.Close)
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), ClusterAddr: "https://" +
		link.Addr()}
	primary := cluster.New(t, opts)
	link.Aim(strings.TrimPrefix(primary.Node(0).ClusterAddress(), "https://"))
	opts.Name, opts.ClusterAddr = "secondary", ""
	secondary := cluster.New(t, opts)
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	mounted(t, primary, secondary, "kv")
	p, s := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	p.SetMaxRetries(0)
	s.SetMaxRetries(0)

	var state string
	_, err = s.WithResponseCallbacks(api.RecordState(&state)).Logical().WriteWithContext(ctx, "kv/a",
		map[string]any{"v": "forwarded"})
	require.NoError(t, err)
	require.NotEmpty(t, state, "the secondary returned no X-Vault-Index")
	for _, c := range []*api.Client{p, s} {
		read, err := c.WithRequestCallbacks(api.RequireState(state)).Logical().ReadWithContext(ctx, "kv/a")
		require.NoError(t, err)
		require.Equal(t, "forwarded", read.Data["v"])
	}

	link.Cut()
	_, err = p.WithResponseCallbacks(api.RecordState(&state)).Logical().WriteWithContext(ctx, "kv/a",
		map[string]any{"v": "not there yet"})
	require.NoError(t, err)
	for what, callbacks := range map[string][]api.RequestCallback{
		"by default":                        {api.RequireState(state)},
		"where the active node is asked to": {api.RequireState(state), api.ForwardInconsistent()},
	} {
		_, err = s.WithRequestCallbacks(callbacks...).Logical().ReadWithContext(ctx, "kv/a")
		var answer *api.ResponseError
		require.ErrorAs(t, err, &answer, what)
		require.Equal(t, 412, answer.StatusCode, what)
	}
	read, err := s.Logical().ReadWithContext(ctx, "kv/a")
	require.NoError(t, err)
	require.Equal(t, "forwarded", read.Data["v"], "without an index it answers what it has")

	link.Mend()
	cluster.Eventually(t, limit, "the secondary has what the index asks for", func(ctx context.Context) error {
		read, err := s.WithRequestCallbacks(api.RequireState(state)).Logical().ReadWithContext(ctx, "kv/a")
		if err == nil && read.Data["v"] != "not there yet" {
			err = cluster.Final(fmt.Errorf("it answered %v", read.Data))
		}
		return err
	})
}
