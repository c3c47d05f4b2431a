// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Every moment of every change of role is answered, on one node and on three: the status
// and the health by each node itself, everything else after a wait. What a client asks for
// next, once it has the answer to a change, is for the role after it.
func TestEveryMomentOfAChangeOfRoleIsAnswered(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			opts := cluster.Options{Name: "a", Binary: product(t), CA: cluster.NewTestCA(t), Nodes: nodes}
			a := cluster.New(t, opts)
			opts.Name = "b"
			b := cluster.New(t, opts)
			if nodes > 1 {
				require.NoError(t, a.WaitVoters(ctx))
				require.NoError(t, b.WaitVoters(ctx))
			}
			p := startProbe(t, a, b)

			p.during(t, "enable of a primary")
			require.NoError(t, a.EnableDRPrimary(ctx))
			p.during(t, "enable of a secondary")
			require.NoError(t, b.JoinDR(ctx, a))
			for i := 1; i < nodes; i++ {
				require.NoError(t, b.Node(i).WaitSealed(ctx))
				require.NoError(t, b.Node(i).Unseal(ctx))
				require.NoError(t, b.Node(i).WaitUnsealed(ctx))
			}
			require.NoError(t, b.WaitEqual(ctx, a))

			p.during(t, "demotion at rest")
			write(t, a.Node(0).APIClient(), "sys/replication/dr/primary/demote", nil)
			status, err := a.Node(0).DRStatus(ctx)
			require.NoError(t, err)
			require.Equal(t, "secondary", status.Mode, "the next status is of the new role")
			operation, err := a.OperationToken()
			require.NoError(t, err, "the next command")
			require.NoError(t, a.Node(0).WaitRole(ctx, "secondary"))

			p.during(t, "promotion")
			promotion, err := b.OperationToken()
			require.NoError(t, err)
			write(t, b.Node(0).Anonymous(), cluster.PathSecondaryPromote, map[string]any{"dr_operation_token": promotion})
			write(t, b.Node(0).APIClient(), "cubbyhole/next", map[string]any{"command": "served"})

			p.during(t, "update-primary")
			token, err := b.ActivationToken(ctx, "again")
			require.NoError(t, err)
			write(t, a.Node(0).Anonymous(), cluster.PathUpdatePrimary, map[string]any{
				"dr_operation_token": operation, "token": token, "ca_file": b.GetCACertPEMFile(),
			})
			require.NoError(t, a.Node(0).WaitStreaming(ctx))
			require.NoError(t, a.WaitEqual(ctx, b))

			p.during(t, "disabling of a secondary")
			operation, err = a.OperationToken()
			require.NoError(t, err)
			write(t, a.Node(0).Anonymous(), "sys/replication/dr/secondary/disable",
				map[string]any{"dr_operation_token": operation})
			secret, err := a.Node(0).APIClient().Logical().ReadWithContext(ctx, "cubbyhole/next")
			require.NoError(t, err, "the next command")
			require.NotNil(t, secret)
			require.NoError(t, a.Node(0).WaitRole(ctx, "disabled"))

			p.during(t, "disabling of a primary")
			write(t, b.Node(0).APIClient(), "sys/replication/dr/primary/disable", nil)
			require.NoError(t, b.Node(0).WaitRole(ctx, "disabled"))
			p.requireAnswered(t)
		})
	}
}

// Streams that clients hold open hold no change up: the log of a server, a long profile, a
// snapshot that is read slowly.
func TestStreamsHoldNoChangeOfRoleUp(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t)})
	n := c.Node(0)
	fillSnapshot(t, n)
	write(t, n.APIClient(), cluster.PathPrimaryEnable, nil)
	p := startProbe(t, c)
	p.during(t, "demotion without streams")
	write(t, n.APIClient(), "sys/replication/dr/primary/demote", nil)
	require.NoError(t, n.WaitRole(ctx, "secondary"))
	p.during(t, "promotion without streams")
	operation, err := c.OperationToken()
	require.NoError(t, err)
	write(t, n.Anonymous(), cluster.PathSecondaryPromote, map[string]any{"dr_operation_token": operation, "force": true})
	require.NoError(t, n.WaitRole(ctx, "primary"))

	monitor := openStream(t, c, "sys/monitor?log_level=trace")
	_, err = bufio.NewReader(monitor).ReadString('\n')
	require.NoError(t, err)
	profile := make(chan error, 1)
	go func() {
		resp, err := requestStream(ctx, c, "sys/pprof/profile?seconds=60")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			err = resp.Body.Close()
		}
		profile <- err
	}()
	snapshot := openStream(t, c, "sys/storage/raft/snapshot")
	_, err = io.ReadFull(snapshot, make([]byte, 1024))
	require.NoError(t, err)
	cluster.Eventually(t, limit, "the profile has begun", func(ctx context.Context) error {
		resp, err := requestStream(ctx, c, "sys/pprof/profile?seconds=1")
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode == http.StatusOK {
			return errors.New("another profile could be taken")
		}
		return nil
	})

	p.during(t, "demotion with streams")
	write(t, n.APIClient(), "sys/replication/dr/primary/demote", nil)
	require.NoError(t, n.WaitRole(ctx, "secondary"))
	t.Logf("the profile ended: %v", <-profile)
	_, err = io.Copy(io.Discard, monitor)
	t.Logf("the log ended: %v", err)
	_, err = io.Copy(io.Discard, snapshot)
	require.Error(t, err, "the snapshot is not whole")
	p.requireAnswered(t)
}

// fillSnapshot makes a snapshot larger than what the buffers of a connection take.
func fillSnapshot(t *testing.T, n *cluster.Node) {
	t.Helper()
	noise := make([]byte, 256<<10)
	state := uint32(1)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = 'a' + byte(state>>24)%26
	}
	for i := range 64 {
		write(t, n.APIClient(), fmt.Sprintf("cubbyhole/large/%d", i), map[string]any{"v": fmt.Sprint(i) + string(noise)})
	}
}

func requestStream(ctx context.Context, c *cluster.Cluster, path string) (*http.Response, error) {
	n := c.Node(0)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Address()+"/v1/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", c.GetRootToken())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLSConfig(), ForceAttemptHTTP2: true,
		DisableKeepAlives: true}, Timeout: 10 * time.Minute}
	return client.Do(req)
}

// openStream begins a stream and reads nothing of it.
func openStream(t *testing.T, c *cluster.Cluster, path string) io.Reader {
	t.Helper()
	resp, err := requestStream(t.Context(), c, path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return resp.Body
}

// What comes from a secondary's clients is treated as well as what comes from the primary's
// own: it is carried out before the change, or answered with one sentence that says so.
func TestForwardedWritesDuringADemotion(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := performancePair(t)
	mounted(t, primary, secondary, "kv")
	demoted := make(chan struct{})
	var writers sync.WaitGroup
	var wrong sync.Map
	for w := range 4 {
		writers.Go(func() {
			client := secondary.Node(0).APIClient()
			for n := 0; ; n++ {
				_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("kv/%d", w), map[string]any{"n": n})
				var answer *api.ResponseError
				switch {
				case err == nil:
				case !errors.As(err, &answer) ||
					(answer.StatusCode != http.StatusConflict && answer.StatusCode < http.StatusBadGateway) || len(answer.Errors) != 1:
					wrong.Store(err.Error(), true)
				default:
					select {
					case <-demoted:
						return
					default:
					}
				}
			}
		})
	}
	write(t, primary.Node(0).APIClient(), cluster.PathPerformance+"primary/demote", nil)
	require.NoError(t, primary.Node(0).WaitPerformanceRole(ctx, "secondary"))
	close(demoted)
	writers.Wait()
	wrong.Range(func(text, _ any) bool {
		t.Error(text)
		return true
	})
}
