// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// publicKey asks a cluster for the key that its activation is to be encrypted to.
func publicKey(t *testing.T, c *api.Client, mode string, params map[string]any) string {
	t.Helper()
	secret, err := c.Logical().Write("sys/replication/"+mode+"/secondary/generate-public-key", params)
	require.NoError(t, err)
	key, ok := secret.Data["secondary_public_key"].(string)
	require.True(t, ok)
	return key
}

// sealedToken asks a primary for an activation that is encrypted to a key.
func sealedToken(t *testing.T, c *api.Client, mode, id, key string) string {
	t.Helper()
	secret, err := c.Logical().Write("sys/replication/"+mode+"/primary/secondary-token",
		map[string]any{"id": id, "secondary_public_key": key})
	require.NoError(t, err)
	require.Nil(t, secret.WrapInfo)
	token, ok := secret.Data["token"].(string)
	require.True(t, ok)
	return token
}

// A secondary is activated by a key of its own, in both modes, and follows another primary so, without a
// call to the API of either: no address and no CA of it is given.
func TestActivationByPublicKey(t *testing.T) {
	for _, mode := range []string{"dr", "performance"} {
		t.Run(mode, func(t *testing.T) {
			parallel(t)
			p, s := clusters(t, cluster.Options{})
			ctx := t.Context()
			if mode == "dr" {
				require.NoError(t, p.EnableDRPrimary(ctx))
			} else {
				require.NoError(t, p.EnablePerformancePrimary(ctx))
			}
			enable := "sys/replication/" + mode + "/secondary/enable"
			root := s.Node(0).APIClient()

			_, err := root.Logical().Write(enable, map[string]any{"token": "activation.AAAA"})
			require.ErrorContains(t, err, "has generated none")
			old := publicKey(t, root, mode, nil)
			key := publicKey(t, root, mode, nil)
			_, err = root.Logical().Write(enable, map[string]any{"token": sealedToken(t, p.Node(0).APIClient(), mode, "s", old)})
			require.ErrorContains(t, err, "was not made for the public key that this cluster generated last")
			// The id is used again: its token was of no use.
			token := sealedToken(t, p.Node(0).APIClient(), mode, "s", key)
			_, err = root.Logical().Write(enable, map[string]any{"token": token})
			require.NoError(t, err)
			s.Adopt(p)
			if mode == "dr" {
				require.NoError(t, s.Node(0).WaitRole(ctx, "secondary"))
				require.NoError(t, s.Node(0).WaitStreaming(ctx))
				require.NoError(t, s.WaitEqual(ctx, p))
			} else {
				require.NoError(t, s.Node(0).WaitPerformanceStreaming(ctx))
				token, err := testcluster.GenerateRoot(s, testcluster.GenerateRootRegular)
				require.NoError(t, err)
				s.SetRootToken(token)
			}

			// What activated it once does not do so again, and a new key gives it new credentials.
			client, params := s.Node(0).APIClient(), func() map[string]any { return map[string]any{} }
			if mode == "dr" {
				operation, err := s.OperationToken()
				require.NoError(t, err)
				client, params = s.Node(0).Anonymous(), func() map[string]any {
					return map[string]any{"dr_operation_token": operation}
				}
			}
			update := "sys/replication/" + mode + "/secondary/update-primary"
			again := params()
			again["token"] = token
			_, err = client.Logical().Write(update, again)
			require.ErrorContains(t, err, "has generated none")
			if mode == "dr" {
				_, err = s.Node(0).APIClient().Logical().Write("sys/replication/dr/secondary/generate-public-key", nil)
				require.Error(t, err, "a token of the primary allows nothing here")
			}
			again["token"] = sealedToken(t, p.Node(0).APIClient(), mode, "s2", publicKey(t, client, mode, params()))
			_, err = client.Logical().Write(update, again)
			require.NoError(t, err)
			if mode == "dr" {
				require.NoError(t, s.Node(0).WaitStreaming(ctx))
			} else {
				require.NoError(t, s.Node(0).WaitPerformanceStreaming(ctx))
			}
		})
	}
}
