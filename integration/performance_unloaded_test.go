// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A performance primary dies, and its DR secondary lacks a plugin. It is not promoted
// without force. With force the performance secondary, which has the plugin, follows it,
// serves what the plugin's mount has all the while, and both say the same of their content.
func TestPromotedWithoutThePlugin(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	with, without := t.TempDir(), t.TempDir()
	sum := buildExternalPlugin(t, filepath.Join(with, "externalplugin"))
	opts := cluster.Options{Binary: product(t), CA: cluster.NewTestCA(t)}
	start := func(name, plugins string) *cluster.Cluster {
		opts.Name, opts.ExtraHCL = name, fmt.Sprintf("plugin_directory = %q", plugins)
		return cluster.New(t, opts)
	}
	us, eu, usDR := start("us", with), start("eu", with), start("us-dr", without)
	put(t, us, "sys/plugins/catalog/secret/outside", map[string]any{"command": "externalplugin", "sha256": sum,
		"args": []string{"-type=secret"}})
	put(t, us, "sys/mounts/out", map[string]any{"type": "outside"})
	put(t, us, "sys/mounts/kv", map[string]any{"type": "kv"})
	require.NoError(t, us.EnablePerformancePrimary(ctx))
	require.NoError(t, us.EnableDRPrimary(ctx))
	require.NoError(t, eu.JoinPerformance(ctx, us, "eu"))
	require.NoError(t, usDR.JoinDR(ctx, us))
	put(t, us, "out/entries/a", map[string]any{"value": "precious"})
	eventually(t, eu, "out/entries/a", "value", "precious")
	require.NoError(t, usDR.WaitEqual(ctx, us))
	require.NoError(t, eu.Node(0).WaitPerformance(ctx, "knows who may take the primary's place",
		func(s *cluster.PerformanceStatus) error {
			if len(s.KnownFailover) == 0 {
				return errors.New("it knows nobody")
			}
			return nil
		}))

	require.NoError(t, us.Node(0).Kill(ctx))
	token, err := usDR.OperationToken()
	require.NoError(t, err)
	refused := func() error {
		_, err := usDR.Node(0).Anonymous().Logical().WriteWithContext(ctx, cluster.PathSecondaryPromote,
			map[string]any{"dr_operation_token": token})
		return err
	}
	cluster.Eventually(t, limit, "the promotion is refused for the plugin", func(context.Context) error {
		var answer *api.ResponseError
		err := refused()
		if !errors.As(err, &answer) || answer.StatusCode != http.StatusServiceUnavailable || len(answer.Errors) != 1 {
			return cluster.Final(fmt.Errorf("it was answered with %w", err))
		}
		for _, part := range []string{"mount out/ would answer nothing", filepath.Join(without, "externalplugin"), "force"} {
			if !strings.Contains(answer.Errors[0], part) {
				return errors.New(answer.Errors[0]) // it looks for the primary first
			}
		}
		return nil
	})
	require.NoError(t, usDR.PromoteWith(ctx, map[string]any{"dr_operation_token": token, "force": true}))
	require.NoError(t, usDR.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	equal := func() {
		t.Helper()
		cluster.Eventually(t, limit, "both have the same content", func(ctx context.Context) error {
			p, err := usDR.Node(0).PerformanceStatus(ctx)
			if err != nil {
				return err
			}
			s, err := eu.Node(0).PerformanceStatus(ctx)
			if err != nil {
				return err
			}
			if p.MerkleRoot == "" || p.MerkleRoot != s.MerkleRoot || s.State != "stream-wals" {
				return fmt.Errorf("%s has %s, and %s has %s in state %s", "us-dr", p.MerkleRoot, "eu", s.MerkleRoot, s.State)
			}
			return nil
		})
	}
	put(t, usDR, "kv/a", map[string]any{"v": "new"})
	eventually(t, eu, "kv/a", "v", "new")
	equal()
	eventually(t, eu, "out/entries/a", "value", "precious")
	require.NoError(t, eu.Restart(ctx, true))
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, eu, "out/entries/a", "value", "precious")

	program, err := os.ReadFile(filepath.Join(with, "externalplugin"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(without, "externalplugin"), program, 0o700))
	// A reload lets it be read alone: to stock Vault it is still being set up.
	require.NoError(t, usDR.Restart(ctx, true))
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, usDR, "out/entries/a", "value", "precious")
	put(t, eu, "out/entries/a", map[string]any{"value": "changed"})
	eventually(t, usDR, "out/entries/a", "value", "changed")
	equal()
}
