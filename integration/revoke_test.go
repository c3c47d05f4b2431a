// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A revoked secondary is cut at once, stays out over restarts of both sides, and
// its id is not given again; the other secondary goes on.
func TestRevokedSecondaryStaysOut(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, revoked := pair(t, cluster.Options{})
	kept := cluster.New(t, cluster.Options{Name: "kept", Binary: product(t), CA: primary.Options().CA})
	require.NoError(t, kept.JoinDR(ctx, primary))

	root := primary.Node(0).APIClient()
	_, err := root.Logical().Write(cluster.PathRevokeSecondary, map[string]any{"id": revoked.ClusterID()})
	require.NoError(t, err)
	cut := func(s *cluster.DRStatus) error {
		if s.State == "stream-wals" || s.ConnectionState == "ready" {
			return fmt.Errorf("still %s, %s", s.State, s.ConnectionState)
		}
		return nil
	}
	require.NoError(t, revoked.Node(0).WaitDR(ctx, "is cut", cut))

	require.NoError(t, revoked.Restart(ctx, true))
	require.NoError(t, primary.Restart(ctx, true))
	require.NoError(t, kept.Node(0).WaitStreaming(ctx))
	_, err = primary.Node(0).APIClient().Logical().Write("cubbyhole/after", map[string]any{"x": "y"})
	require.NoError(t, err)
	require.NoError(t, kept.WaitEqual(ctx, primary))
	require.NoError(t, revoked.Node(0).WaitDR(ctx, "is out", cut))

	status, err := primary.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{kept.ClusterID()}, status.KnownSecondary)
	_, err = primary.Node(0).APIClient().Logical().Write(cluster.PathRevokeSecondary, map[string]any{"id": "never-known"})
	requireStatus(t, err, http.StatusNotFound)
}

// A certificate of a foreign CA is refused on the cluster port under the DR
// protocol, and one without any certificate as well.
func TestClusterPortRefusesForeignCertificates(t *testing.T) {
	parallel(t)
	primary, _ := pair(t, cluster.Options{})
	foreign, err := cluster.NewTestCA(t).ClientCertificate()
	require.NoError(t, err)
	for name, certificates := range map[string][]tls.Certificate{"foreign": {foreign}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(primary.Node(0).ClusterAddress(), "https://"), &tls.Config{
				Certificates: certificates, NextProtos: []string{"replication_dr_v1"},
				InsecureSkipVerify: true,
			})
			if err != nil {
				return
			}
			defer conn.Close() // refused anyway
			// With TLS 1.3 the refusal arrives with the first read.
			_, err = conn.Read(make([]byte, 1))
			require.Error(t, err)
		})
	}
}
