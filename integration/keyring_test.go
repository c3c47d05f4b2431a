// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// keyed is a DR pair whose primary changes its keys.
type keyed struct {
	primary, secondary *cluster.Cluster
	// written is how many secrets the primary has acknowledged, one under each of
	// its keys.
	written int
	token   string
}

func newKeyed(t *testing.T, opts cluster.Options) *keyed {
	t.Helper()
	k := &keyed{}
	k.primary, k.secondary = pair(t, opts)
	secret, err := k.primary.Node(0).APIClient().Auth().Token().Create(&api.TokenCreateRequest{
		Policies: []string{"default"}, NoParent: true, DisplayName: "made-first",
	})
	require.NoError(t, err)
	k.token = secret.Auth.ClientToken
	k.write(t)
	return k
}

func (k *keyed) write(t *testing.T) {
	t.Helper()
	_, err := k.primary.Node(0).APIClient().Logical().WriteWithContext(t.Context(),
		fmt.Sprintf("cubbyhole/%d", k.written), map[string]any{"number": k.written})
	require.NoError(t, err)
	k.written++
}

// rotate rotates the barrier key, with a write under each new one.
func (k *keyed) rotate(t *testing.T, times int) {
	t.Helper()
	for range times {
		require.NoError(t, k.primary.Node(0).APIClient().Sys().RotateWithContext(t.Context()))
		k.write(t)
	}
}

// rekey changes the primary's root key and shares. The secondary takes over the shares a
// few seconds later. Until then its former shares open it.
func (k *keyed) rekey(t *testing.T, shares, threshold int) {
	t.Helper()
	require.NoError(t, k.primary.Rekey(t.Context(), shares, threshold))
	k.write(t)
}

// takesShares waits until the shares of the primary are the secondary's too.
func (k *keyed) takesShares(t *testing.T) {
	t.Helper()
	require.NoError(t, k.secondary.TakeShares(t.Context(), k.primary, testcluster.GenerateRootDR))
	// Its token is the primary's.
	k.secondary.SetRootToken(k.primary.GetRootToken())
}

func (k *keyed) requireStreaming(t *testing.T) {
	t.Helper()
	require.NoError(t, k.secondary.Node(0).WaitStreaming(t.Context()))
	require.NoError(t, k.secondary.WaitEqual(t.Context(), k.primary))
}

// restart restarts the secondary cold.
func (k *keyed) restart(t *testing.T, graceful bool) {
	t.Helper()
	require.NoError(t, k.secondary.Restart(t.Context(), graceful))
	requireSecondary(t, k.secondary)
}

// requireAll asserts that what the primary acknowledged is readable on a cluster
// with the primary's tokens, and which shares open it.
func (k *keyed) requireAll(t *testing.T, c *cluster.Cluster, term int) {
	t.Helper()
	ctx := t.Context()
	client := c.Node(0).APIClient()
	for n := range k.written {
		secret, err := client.Logical().ReadWithContext(ctx, fmt.Sprintf("cubbyhole/%d", n))
		require.NoError(t, err)
		require.NotNil(t, secret, "secret %d", n)
		require.Equal(t, fmt.Sprint(n), fmt.Sprint(secret.Data["number"]))
	}
	status, err := client.Sys().KeyStatusWithContext(ctx)
	require.NoError(t, err)
	require.Equal(t, term, status.Term)
	holder := c.Node(0).Anonymous()
	holder.SetToken(k.token)
	self, err := holder.Auth().Token().LookupSelfWithContext(ctx)
	require.NoError(t, err)
	require.Equal(t, "token-made-first", self.Data["display_name"])
}

// failOver ends the primary and promotes the secondary, which then rotates keys
// of its own.
func (k *keyed) failOver(t *testing.T, term int) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, k.primary.Stop(ctx, false))
	require.NoError(t, k.secondary.Promote(ctx), "the shares of the secondary make the DR operation token")
	k.requireAll(t, k.secondary, term)
	require.NoError(t, k.secondary.Node(0).APIClient().Sys().RotateWithContext(ctx))
	require.NoError(t, k.secondary.Restart(ctx, false))
	k.requireAll(t, k.secondary, term+1)
}

var splits = map[string]struct{ before, after cluster.Options }{
	"1 of 1 to 2 of 3": {cluster.Options{Shares: 1, Threshold: 1}, cluster.Options{Shares: 3, Threshold: 2}},
	"2 of 3 to 1 of 1": {cluster.Options{Shares: 3, Threshold: 2}, cluster.Options{Shares: 1, Threshold: 1}},
}

// A secondary that streams follows each rotation and rekey of its primary, and
// can be opened after each.
func TestSecondaryFollowsRotationAndRekey(t *testing.T) {
	t.Parallel()
	for name, split := range splits {
		for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
			t.Run(fmt.Sprintf("%s, %s", name, storage), func(t *testing.T) {
				parallel(t)
				opts := split.before
				opts.Storage = storage
				k := newKeyed(t, opts)
				k.rotate(t, 3)
				k.requireStreaming(t)
				k.restart(t, false)
				k.requireStreaming(t)

				k.rekey(t, split.after.Shares, split.after.Threshold)
				k.requireStreaming(t)
				k.takesShares(t)
				k.restart(t, true)
				k.requireStreaming(t)

				k.rotate(t, 2)
				k.requireStreaming(t)
				k.restart(t, false)
				k.rekey(t, split.before.Shares, split.before.Threshold)
				k.rotate(t, 1)
				k.requireStreaming(t)
				k.takesShares(t)
				k.restart(t, false)
				k.requireStreaming(t)
				k.failOver(t, 7)
			})
		}
	}
}

// Rotations and rekeys in quick succession, with the secondary killed while they
// arrive: whatever had arrived, its shares open it, and it goes on.
func TestSecondaryKilledWhileKeysArriveOpens(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			k := newKeyed(t, cluster.Options{Storage: storage})
			k.requireStreaming(t)
			const rounds = 6
			for range rounds {
				node := k.secondary.Node(0)
				log, err := node.LogSize()
				require.NoError(t, err)
				killed := make(chan error, 1)
				go func() {
					// The line is logged before the step that it speaks of is written.
					if err := node.WaitLog(t.Context(), log, "the primary was rekeyed"); err != nil {
						killed <- err
						return
					}
					killed <- node.Kill(t.Context())
				}()
				k.rotate(t, 1)
				k.rekey(t, 1, 1)
				k.rotate(t, 1)
				require.NoError(t, <-killed)
				require.NoError(t, node.Start(t.Context()))
				require.NoError(t, k.secondary.Unseal(t.Context()))
				requireSecondary(t, k.secondary)
				k.requireStreaming(t)
				k.takesShares(t)
			}
			k.failOver(t, 1+2*rounds)
		})
	}
}

// away ends the secondary, lets the primary change its keys, and brings the
// secondary back twice: whatever has arrived by then, its shares open it.
func (k *keyed) away(t *testing.T, change func(), back func()) {
	t.Helper()
	require.NoError(t, k.secondary.Stop(t.Context(), false))
	change()
	for _, again := range []bool{false, true} {
		if again {
			require.NoError(t, k.secondary.Stop(t.Context(), true))
		}
		require.NoError(t, k.secondary.Node(0).Start(t.Context()))
		require.NoError(t, k.secondary.Unseal(t.Context()), "its shares open it")
		requireSecondary(t, k.secondary)
		back()
	}
}

// Keys that the primary changed while the secondary was down are followed when it
// comes back.
func TestSecondaryFollowsKeysChangedWhileItWasDown(t *testing.T) {
	t.Parallel()
	restart := func(k *keyed, t *testing.T) {
		// What was in memory is gone: only the present values can be sent.
		require.NoError(t, k.primary.Restart(t.Context(), true))
	}
	for name, test := range map[string]struct {
		change []func(*keyed, *testing.T)
		term   int
	}{
		"rotate":                    {[]func(*keyed, *testing.T){rotateAway}, 4},
		"rotate, primary restarted": {[]func(*keyed, *testing.T){rotateAway, restart}, 4},
		"rekey":                     {[]func(*keyed, *testing.T){rekeyAway}, 1},
		"rekey, primary restarted":  {[]func(*keyed, *testing.T){rekeyAway, restart}, 1},
		"rotate and rekey":          {[]func(*keyed, *testing.T){rotateAway, rekeyAway, rotateAway}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			k := newKeyed(t, cluster.Options{})
			k.requireStreaming(t)
			k.away(t, func() {
				for _, change := range test.change {
					change(k, t)
				}
			}, func() {
				k.requireStreaming(t)
				k.takesShares(t)
			})
			k.failOver(t, test.term)
		})
	}
}

func rotateAway(k *keyed, t *testing.T) { k.rotate(t, 3) }

func rekeyAway(k *keyed, t *testing.T) { k.rekey(t, 3, 2) }

// A secondary that cannot follow the keys of its primary asks for them. It has all of
// the primary then, and the primary's shares of now open it.
func TestSecondaryAsksForKeysThatItCannotFollow(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			k := newKeyed(t, cluster.Options{Storage: storage})
			k.requireStreaming(t)
			require.NoError(t, k.secondary.Stop(ctx, false))
			k.rotate(t, 2)
			k.rekey(t, 3, 2)
			k.rotate(t, 1)
			require.NoError(t, k.primary.Restart(ctx, true))
			require.NoError(t, k.secondary.Node(0).Start(ctx))
			require.NoError(t, k.secondary.Unseal(ctx), "its shares open it")
			require.NoError(t, k.secondary.Node(0).WaitDR(ctx, "says what is missing", func(s *cluster.DRStatus) error {
				if !strings.Contains(s.LastError, "keys were changed") {
					return fmt.Errorf("it says %q", s.LastError)
				}
				return nil
			}))
			k.requireStreaming(t)
			k.takesShares(t)
			k.restart(t, false)
			k.requireStreaming(t)
			k.rotate(t, 1)
			k.rekey(t, 1, 1)
			k.requireStreaming(t)
			k.takesShares(t)
			k.failOver(t, 5)
		})
	}
}

// A primary was rotated and rekeyed while the secondary was away, and has lost its memory
// since. It can send only its present keys, which the secondary's keys do not open. If the
// primary goes before it was asked for its keys, the secondary must not be locked out or
// lose what it had.
func TestSecondaryThatCannotFollowKeysKeepsWhatItHad(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	k := newKeyed(t, cluster.Options{})
	k.requireStreaming(t)
	had := k.written
	k.away(t, func() {
		k.rotate(t, 2)
		k.rekey(t, 3, 2)
		k.rotate(t, 1)
		require.NoError(t, k.primary.Restart(ctx, true))
	}, func() {
		p, err := k.primary.Node(0).DRStatus(ctx)
		require.NoError(t, err)
		require.NoError(t, k.secondary.Node(0).WaitDR(ctx, "has what was sent", func(s *cluster.DRStatus) error {
			if s.LastRemoteWAL < p.LastDRWAL {
				return fmt.Errorf("at %d of %d", s.LastRemoteWAL, p.LastDRWAL)
			}
			return nil
		}))
		s, err := k.secondary.Node(0).DRStatus(ctx)
		require.NoError(t, err)
		require.NotEqual(t, p.MerkleRoot, s.MerkleRoot)
		require.Contains(t, s.LastError, "keys were changed", "it must not look healthy")
	})
	require.NoError(t, k.primary.Stop(ctx, false))
	token, err := k.secondary.OperationToken()
	require.NoError(t, err, "the shares of the secondary make the DR operation token")
	_, err = k.secondary.Node(0).Anonymous().Logical().WriteWithContext(ctx, cluster.PathSecondaryPromote,
		map[string]any{"dr_operation_token": token})
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode, "what cannot be read must not be promoted "+
		"without force")
	require.NoError(t, k.secondary.PromoteWith(ctx, map[string]any{"dr_operation_token": token, "force": true}))
	for _, when := range []string{"after the promotion", "after a restart"} {
		client := k.secondary.Node(0).APIClient()
		for n := range k.written {
			secret, err := client.Logical().ReadWithContext(ctx, fmt.Sprintf("cubbyhole/%d", n))
			t.Logf("%s: secret %d of %d: there %t, %v", when, n, k.written, secret != nil, err)
			if n < had {
				require.NoError(t, err)
				require.NotNil(t, secret)
			}
		}
		require.NoError(t, k.secondary.Restart(ctx, false))
	}
}
