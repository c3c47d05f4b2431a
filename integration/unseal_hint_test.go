// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Something goes on to give the shares that a secondary had before it joined, while an operator gives those of its
// primary. Vault says of neither whose it is.
func TestSharesThatDoNotBelongAreSaid(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	p, s := clusters(t, cluster.Options{Shares: 3, Threshold: 2})
	require.NoError(t, p.EnableDRPrimary(ctx))
	old := s.GetBarrierKeys()
	require.NoError(t, s.JoinDR(ctx, p))
	n := s.Node(0)
	require.NoError(t, n.Terminate(ctx))
	require.NoError(t, n.Start(ctx))
	sys := n.Anonymous().Sys()
	give := func(share []byte) error {
		_, err := sys.UnsealWithContext(ctx, hex.EncodeToString(share))
		return err
	}
	warnings := func() []string {
		status, err := sys.SealStatusWithContext(ctx)
		require.NoError(t, err)
		return status.Warnings
	}
	require.NoError(t, give(s.GetBarrierKeys()[0]))
	require.Empty(t, warnings())
	require.Error(t, give(old[0]))
	require.Len(t, warnings(), 1)
	require.Contains(t, warnings()[0], "one share that does not belong spoils the attempt of all")
	log, err := n.LogFrom(0)
	require.NoError(t, err)
	require.Contains(t, string(log), "the shares do not make the key of this cluster")
	require.Contains(t, string(log), "from=127.0.0.1")

	for _, share := range s.GetBarrierKeys()[:2] {
		require.NoError(t, give(share))
	}
	require.NoError(t, n.WaitUnsealed(ctx))
	require.Empty(t, warnings())
}
