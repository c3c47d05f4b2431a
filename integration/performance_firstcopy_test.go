// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// The primary dies before the first copy of a secondary has begun. Another cluster of
// the set takes over, and the secondary, which knows no token, is led to it with one
// that is made of the set's key shares.
func TestFirstCopyWhosePrimaryIsGone(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	link, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(link.Close)
	opts := cluster.Options{Name: "us", Binary: product(t), CA: cluster.NewTestCA(t), Shares: 3, Threshold: 2,
		ClusterAddr: "https://" + link.Addr()}
	us := cluster.New(t, opts)
	link.Aim(strings.TrimPrefix(us.Node(0).ClusterAddress(), "https://"))
	opts.Name, opts.ClusterAddr = "asia", ""
	asia := cluster.New(t, opts)
	// On file storage what a cluster has stored can be looked at from outside.
	opts.Name, opts.Storage = "eu", cluster.File
	eu := cluster.New(t, opts)
	require.NoError(t, us.EnablePerformancePrimary(ctx))
	require.NoError(t, asia.JoinPerformance(ctx, us, "asia"))
	mounted(t, us, asia, "kv")
	put(t, us, "kv/a", map[string]any{"v": "one"})
	eventually(t, asia, "kv/a", "v", "one")

	token := put(t, us, cluster.PathPerformance+"primary/secondary-token", map[string]any{"id": "eu"})
	put(t, eu, cluster.PathPerformance+"secondary/enable", map[string]any{"token": token.WrapInfo.Token,
		"ca_file": us.GetCACertPEMFile()})
	link.Cut()
	eu.Adopt(us)
	bootstrapping := func() {
		t.Helper()
		require.NoError(t, eu.Node(0).WaitPerformance(ctx, "waits for its first copy",
			func(s *cluster.PerformanceStatus) error {
				if s.Mode != "bootstrapping" || s.State != "idle" || s.LastError == "" {
					return fmt.Errorf("it is %s", s.State)
				}
				return nil
			}))
		code, _ := call(ctx, t, eu, http.MethodGet, "sys/health?drsecondarycode=200")
		require.Equal(t, http.StatusServiceUnavailable, code)
	}
	bootstrapping()
	require.NoError(t, us.Stop(ctx, false))
	promoteCutOff(t, asia)

	anonymous := once(t, eu, "")
	const update = cluster.PathPerformance + "secondary/update-primary"
	operation, err := testcluster.GenerateRoot(eu, testcluster.GenerateRootDR)
	require.NoError(t, err)
	for _, wrong := range []struct {
		path  string
		token any
		code  int
	}{
		{update, nil, http.StatusBadRequest},
		{update, "dro.wrong", http.StatusForbidden},
		{update, us.GetRootToken(), http.StatusForbidden},
		{cluster.PathPerformance + "secondary/promote", operation, http.StatusServiceUnavailable},
		{cluster.PathPerformance + "secondary/disable", operation, http.StatusServiceUnavailable},
		{"sys/replication/dr/secondary/promote", operation, http.StatusServiceUnavailable},
		{"sys/mounts/kv2", operation, http.StatusServiceUnavailable},
	} {
		refused := refusal(t, anonymous, http.MethodPut, wrong.path, map[string]any{"dr_operation_token": wrong.token})
		require.Equal(t, wrong.code, refused.StatusCode, "%s: %v", wrong.path, refused)
		require.Len(t, refused.Errors, 1)
	}
	recovered := send(t, anonymous, http.MethodPost, "sys/replication/recover",
		map[string]any{"dr_operation_token": operation})
	require.Contains(t, strings.Join(recovered.Warnings, " "), "begun anew")
	bootstrapping()
	// It survives a restart as what it is.
	require.NoError(t, eu.Restart(ctx, false))
	bootstrapping()

	heir := put(t, asia, cluster.PathPerformance+"primary/secondary-token", map[string]any{"id": "eu-2"})
	answer := send(t, anonymous, http.MethodPut, update, map[string]any{
		"dr_operation_token": operation, "token": heir.WrapInfo.Token, "ca_file": asia.GetCACertPEMFile(),
	})
	require.Contains(t, strings.Join(answer.Warnings, " "), "being connected to the primary")
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	root, err := testcluster.GenerateRoot(eu, testcluster.GenerateRootRegular)
	require.NoError(t, err)
	eu.SetRootToken(root)
	eventually(t, eu, "kv/a", "v", "one")
	put(t, eu, "kv/a", map[string]any{"v": "two"})
	eventually(t, asia, "kv/a", "v", "two")
	// Now there are tokens, and the other one is gone.
	require.NoFileExists(t, filepath.Join(eu.Node(0).DataDir(), "core", "replication", "_dr-operation-token"))
	require.Equal(t, http.StatusForbidden, refusal(t, anonymous, http.MethodPut, update,
		map[string]any{"dr_operation_token": operation}).StatusCode)
	_, err = os.Stat(filepath.Join(eu.Node(0).DataDir(), "core", "replication"))
	require.NoError(t, err)
}

// Clients go on to ask with the token of the cluster of before while it becomes a performance secondary. A core that
// has no token store of its own yet must not look the token up: it would make a salt, and may not store it. What the
// servers have logged is searched at the end of each test.
func TestActivationBesideClientsOfTheClusterOfBefore(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.File, cluster.Raft} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			us, eu := clusters(t, cluster.Options{Storage: storage})
			require.NoError(t, us.Node(0).APIClient().Sys().EnableAuditWithOptionsWithContext(ctx, "shared",
				&api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": artifact(t, "audit.log")}}))
			require.NoError(t, us.EnablePerformancePrimary(ctx))
			asking, stop := context.WithCancel(ctx)
			var clients sync.WaitGroup
			for range 4 {
				of := once(t, eu, eu.GetRootToken())
				clients.Go(func() {
					for asking.Err() == nil {
						for _, path := range []string{"sys/replication/status", "auth/token/lookup-self", "sys/mounts"} {
							_, _ = of.Logical().ReadWithContext(asking, path)
						}
					}
				})
			}
			err := eu.JoinPerformance(ctx, us, "eu")
			stop()
			clients.Wait()
			require.NoError(t, err)
			require.NoError(t, eu.WaitCaughtUp(ctx, us))
		})
	}
}
