// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
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
		_, err := p.WithResponseCallbacks(api.RecordState(&state)).Logical().WriteWithContext(t.Context(), "kv1/counter", map[string]any{"value": want})
		require.NoError(t, err)
		require.NotEmpty(t, state, "the primary returned no X-Vault-Index")
		// The client of the API retries a 412, as documented.
		read, err := s.WithRequestCallbacks(api.RequireState(state)).Logical().ReadWithContext(t.Context(), "kv1/counter")
		require.NoError(t, err)
		require.NotNil(t, read)
		require.Equal(t, want, read.Data["value"])
	}
}
