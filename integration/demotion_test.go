// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A planned switch loses nothing: whatever the primary acknowledged before it was
// demoted under load is on the secondary that is promoted then.
func TestDemotionUnderLoadLosesNothing(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})

	var acknowledged sync.Map
	var writers sync.WaitGroup
	stop, enough := make(chan struct{}), make(chan struct{}, 1)
	for w := range 8 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			client, err := primary.Node(0).APIClient().Clone()
			if err != nil {
				t.Error(err)
				return
			}
			client.SetToken(primary.GetRootToken())
			client.SetMaxRetries(0)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				path := fmt.Sprintf("cubbyhole/%d/%d", w, n)
				if _, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"n": n}); err != nil {
					// The primary is demoted: what follows is refused as well.
					return
				}
				acknowledged.Store(path, true)
				if n == 50 {
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			}
		}()
	}
	<-enough
	_, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "sys/replication/dr/primary/demote", nil)
	require.NoError(t, err)
	require.NoError(t, primary.Node(0).WaitRole(ctx, "secondary"))
	close(stop)
	writers.Wait()
	// It was told so, and does not take the end of the link for a failure.
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "that the secondary says why it is idle",
		func(s *cluster.DRStatus) error {
			if !strings.Contains(s.LastError, "the primary was demoted") {
				return fmt.Errorf("it says %q", s.LastError)
			}
			return nil
		}))

	require.NoError(t, secondary.Promote(ctx))
	reader := secondary.Node(0).APIClient()
	cluster.Eventually(t, limit, "the promoted cluster serves", func(ctx context.Context) error {
		_, err := reader.Auth().Token().LookupSelfWithContext(ctx)
		return err
	})
	missing, all := 0, 0
	acknowledged.Range(func(path, _ any) bool {
		all++
		secret, err := reader.Logical().ReadWithContext(ctx, path.(string))
		if err != nil || secret == nil {
			missing++
		}
		return true
	})
	require.Greater(t, all, 50)
	require.Zero(t, missing, "of %d acknowledged writes", all)
}
