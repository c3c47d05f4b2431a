// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A standby of a DR secondary says what it is from the first moment in which it is not sealed. A load balancer that is
// told 200 or 429 in between sends clients to it.
func TestStandbyOfADRSecondaryIsNeverTakenForAnother(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	primary := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), CA: ca, Shares: 3, Threshold: 2})
	secondary := cluster.New(t, cluster.Options{Name: "secondary", Binary: product(t), CA: ca, Nodes: 3})
	require.NoError(t, secondary.WaitVoters(ctx))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	for _, i := range []int{1, 2} {
		n := secondary.Node(i)
		require.NoError(t, n.WaitSealed(ctx))
		requireToldAtOnce(t, n)
		// The next times it reads in storage what it is.
		for range 2 {
			require.NoError(t, n.Terminate(ctx))
			require.NoError(t, n.Start(ctx))
			requireToldAtOnce(t, n)
		}
	}
}

// requireToldAtOnce unseals a node and asks for its health all the time meanwhile.
func requireToldAtOnce(t *testing.T, n *cluster.Node) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	codes := map[string]int{}
	var asking sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLSConfig(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for _, query := range []string{"", "?standbyok=true"} {
		asking.Go(func() {
			for ctx.Err() == nil {
				r, err := http.NewRequestWithContext(ctx, http.MethodHead, n.Address()+"/v1/sys/health"+query, nil)
				if err != nil {
					return
				}
				if answer, err := client.Do(r); err == nil {
					_ = answer.Body.Close()
					mu.Lock()
					codes[fmt.Sprintf("%d%s", answer.StatusCode, query)]++
					mu.Unlock()
				}
			}
		})
	}
	seen := func(code string) func(context.Context) error {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if codes[code] == 0 || codes[code+"?standbyok=true"] == 0 {
				return errors.New(fmt.Sprint(codes))
			}
			return nil
		}
	}
	cluster.Eventually(t, limit, n.Name()+" is asked while it is sealed", seen("503"))
	require.NoError(t, n.Unseal(ctx))
	cluster.Eventually(t, limit, n.Name()+" says what it is", seen("472"))
	stop()
	asking.Wait()
	for _, query := range []string{"", "?standbyok=true"} {
		delete(codes, "503"+query)
		delete(codes, "472"+query)
	}
	require.Empty(t, codes, "answers of %s beside sealed and DR secondary", n.Name())
}
