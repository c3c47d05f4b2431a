// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// The older paths without "performance/", with POST and with PUT: a life of a
// secondary, to its end.
func TestPerformanceByTheOlderPaths(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := clusters(t, cluster.Options{})
	there, here := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	send(t, there, http.MethodPost, "sys/replication/primary/enable", nil)
	require.NoError(t, primary.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, there.Sys().MountWithContext(ctx, "kv1", &api.MountInput{Type: "kv"}))

	refused := refusal(t, there, http.MethodPost, "sys/replication/primary/secondary-token", nil)
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	token := send(t, there, http.MethodPut, "sys/replication/primary/secondary-token",
		map[string]any{"id": "eu"}).WrapInfo.Token
	require.Equal(t, http.StatusBadRequest, refusal(t, here, http.MethodPost, "sys/replication/secondary/enable",
		nil).StatusCode)
	send(t, here, http.MethodPost, "sys/replication/secondary/enable",
		map[string]any{"token": token, "ca_file": primary.GetCACertPEMFile()})
	secondary.Adopt(primary)
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	root, err := testcluster.GenerateRoot(secondary, testcluster.GenerateRootRegular)
	require.NoError(t, err)
	secondary.SetRootToken(root)
	here = secondary.Node(0).APIClient()
	send(t, here, http.MethodPost, "kv1/a", map[string]any{"value": "forwarded"})
	read, err := there.Logical().ReadWithContext(ctx, "kv1/a")
	require.NoError(t, err)
	require.Equal(t, "forwarded", read.Data["value"])

	send(t, there, http.MethodPut, "sys/replication/primary/revoke-secondary", map[string]any{"id": "eu"})
	require.NoError(t, secondary.Node(0).WaitPerformance(ctx, "is cut", func(s *cluster.PerformanceStatus) error {
		if s.State != "idle" {
			return fmt.Errorf("state is %q", s.State)
		}
		return nil
	}))
	send(t, here, http.MethodPut, "sys/replication/secondary/update-primary", map[string]any{"token": ""})
	send(t, here, http.MethodPost, "sys/replication/secondary/disable", nil)
	require.NoError(t, secondary.Node(0).WaitPerformanceRole(ctx, "disabled"))
	read, err = secondary.Node(0).APIClient().Logical().ReadWithContext(ctx, "kv1/a")
	require.NoError(t, err)
	require.Equal(t, "forwarded", read.Data["value"], "what it had it keeps")
	send(t, secondary.Node(0).APIClient(), http.MethodPut, "kv1/a", map[string]any{"value": "its own"})
	send(t, there, http.MethodPost, "sys/replication/primary/disable", nil)
	require.NoError(t, primary.Node(0).WaitPerformanceRole(ctx, "disabled"))
}

// send makes a request with a method of its own choice: the stock client's Write is
// always a PUT.
func send(t *testing.T, client *api.Client, method, path string, body map[string]any) *api.Secret {
	t.Helper()
	secret, err := request(t, client, method, path, body)
	require.NoError(t, err)
	return secret
}

func refusal(t *testing.T, client *api.Client, method, path string, body map[string]any) *api.ResponseError {
	t.Helper()
	_, err := request(t, client, method, path, body)
	var refused *api.ResponseError
	require.True(t, errors.As(err, &refused), "%v", err)
	return refused
}

func request(t *testing.T, client *api.Client, method, path string, body map[string]any) (*api.Secret, error) {
	t.Helper()
	r := client.NewRequest(method, "/v1/"+path)
	if body != nil {
		require.NoError(t, r.SetJSONBody(body))
	}
	resp, err := client.RawRequestWithContext(t.Context(), r) //nolint:staticcheck // the only call that takes the method
	if resp != nil {
		defer resp.Body.Close() // read to its end
	}
	if err != nil || resp.StatusCode == http.StatusNoContent {
		return nil, err
	}
	return api.ParseSecret(resp.Body)
}
