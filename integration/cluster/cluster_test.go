// SPDX-License-Identifier: MPL-2.0

package cluster_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// The harness is tested against stock Vault, so that a failure of a test of the
// product is never one of the harness.
func TestClusterSurvivesRestarts(t *testing.T) {
	t.Parallel()
	binary := cluster.Binary(t, "vault-plain")
	cases := map[string]cluster.Options{
		"raft":              {Storage: cluster.Raft},
		"raft, three nodes": {Storage: cluster.Raft, Nodes: 3, Shares: 5, Threshold: 3},
		"file, plain HTTP":  {Storage: cluster.File, DisableTLS: true},
	}
	for name, opts := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts.Name, opts.Binary = "harness", binary
			c := cluster.New(t, opts)
			active, err := c.Active(t.Context())
			require.NoError(t, err)
			require.NoError(t, active.APIClient().KVv1("cubbyhole").Put(t.Context(), "a", map[string]any{"b": "c"}))

			for _, graceful := range []bool{true, false} {
				require.NoError(t, c.Restart(t.Context(), graceful))
				active, err = c.Active(t.Context())
				require.NoError(t, err)
				got, err := active.APIClient().KVv1("cubbyhole").Get(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, map[string]any{"b": "c"}, got.Data)
			}
		})
	}
}

func TestTransitSealUnsealsByItself(t *testing.T) {
	t.Parallel()
	binary := cluster.Binary(t, "vault-plain")
	provider := cluster.New(t, cluster.Options{Name: "provider", Binary: binary, Storage: cluster.Inmem})
	seal, err := cluster.NewTransitSeal(t.Context(), provider, "unseal")
	require.NoError(t, err)
	c := cluster.New(t, cluster.Options{Name: "sealed", Binary: binary, Seal: seal, Shares: 3, Threshold: 2})
	require.Len(t, c.GetRecoveryKeys(), 3)
	require.NoError(t, c.Restart(t.Context(), false))
}

func TestCleanupLeavesNoProcess(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Options{
		Name: "gone", Binary: cluster.Binary(t, "vault-plain"), Storage: cluster.Inmem,
	})
	require.NoError(t, err)
	pid := c.Node(0).PID()
	c.Cleanup()
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.NoDirExists(t, c.Options().Dir)
}

func TestStartSaysWhyAServerEnded(t *testing.T) {
	t.Parallel()
	_, err := cluster.Start(t.Context(), cluster.Options{
		Name: "broken", Binary: cluster.Binary(t, "vault-plain"), ExtraHCL: "listener \"none\" {}",
	})
	require.ErrorContains(t, err, "the server ended")
}

func TestWaitNamesWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := cluster.Wait(ctx, "pigs fly", func(context.Context) error { return errors.New("they walk") })
	require.EqualError(t, err, "waiting until pigs fly: they walk")
}

func TestWaitEndsAtAFinalError(t *testing.T) {
	t.Parallel()
	calls := 0
	err := cluster.Wait(t.Context(), "it lives", func(context.Context) error {
		calls++
		return cluster.Final(errors.New("dead"))
	})
	require.EqualError(t, err, "waiting until it lives: dead")
	require.Equal(t, 1, calls)
}
