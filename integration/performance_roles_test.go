// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

func client(c *cluster.Cluster) *api.Logical { return c.Node(0).APIClient().Logical() }

// eventually waits until a read answers a value.
func eventually(t *testing.T, c *cluster.Cluster, path, field, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, cluster.Wait(ctx, path+" is "+want, func(ctx context.Context) error {
		secret, err := client(c).ReadWithContext(ctx, path)
		switch {
		case err != nil:
			return err
		case secret == nil:
			return fmt.Errorf("there is nothing at %s", path)
		case fmt.Sprint(secret.Data[field]) != want:
			return fmt.Errorf("%s of %s is %v", field, path, secret.Data[field])
		}
		return nil
	}))
}

func put(t *testing.T, c *cluster.Cluster, path string, data map[string]any) *api.Secret {
	t.Helper()
	secret, err := client(c).WriteWithContext(t.Context(), path, data)
	require.NoError(t, err, path)
	return secret
}

// mounted makes a key-value mount on the primary and waits until the secondary has
// it.
func mounted(t *testing.T, primary, secondary *cluster.Cluster, path string) {
	t.Helper()
	put(t, primary, "sys/mounts/"+path, map[string]any{"type": "kv"})
	eventually(t, secondary, "sys/mounts/"+path, "type", "kv")
}

// A performance primary and a performance secondary, each with a DR secondary of
// its own: HashiCorp's helper sets them up. Then both active clusters die, and
// their DR secondaries take over their roles in performance replication too. Nobody
// tells a performance secondary where its new primary is.
func TestBothModesInOneCluster(t *testing.T) {
	parallel(t)
	opts := cluster.Options{Binary: product(t), CA: cluster.NewTestCA(t)}
	all := map[string]*cluster.Cluster{}
	for _, name := range []string{"us", "eu", "us-dr", "eu-dr"} {
		opts.Name = name
		all[name] = cluster.New(t, opts)
	}
	us, eu, usDR, euDR := all["us"], all["eu"], all["us-dr"], all["eu-dr"]
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, testcluster.SetupFourClusterReplication(ctx, us, eu, usDR, euDR))
	mounted(t, us, eu, "kv")
	put(t, eu, "kv/a", map[string]any{"v": "one"})
	eventually(t, us, "kv/a", "v", "one")
	eventually(t, eu, "kv/a", "v", "one")
	put(t, eu, "sys/mounts/mine", map[string]any{"type": "kv", "local": true})
	put(t, eu, "mine/a", map[string]any{"v": "eu"})
	require.NoError(t, usDR.WaitEqual(ctx, us))
	require.NoError(t, euDR.WaitEqual(ctx, eu))
	euToken := eu.GetRootToken()

	// The performance secondary dies; its DR secondary goes on as it.
	require.NoError(t, eu.Node(0).Kill(ctx))
	require.NoError(t, testcluster.PromoteDRSecondary(ctx, euDR))
	euDR.SetRootToken(euToken)
	require.NoError(t, euDR.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, euDR, "mine/a", "v", "eu")
	put(t, euDR, "kv/a", map[string]any{"v": "two"})
	eventually(t, euDR, "kv/a", "v", "two")
	eventually(t, us, "kv/a", "v", "two")

	// The performance primary dies; its DR secondary leads the set.
	require.NoError(t, usDR.WaitEqual(ctx, us))
	require.NoError(t, euDR.Node(0).WaitPerformance(ctx, "knows who may take the primary's place",
		func(s *cluster.PerformanceStatus) error {
			if !slices.Equal(s.KnownFailover, []string{usDR.Node(0).ClusterAddress()}) {
				return fmt.Errorf("it knows %v", s.KnownFailover)
			}
			return nil
		}))
	usToken := us.GetRootToken()
	require.NoError(t, us.Node(0).Kill(ctx))
	require.NoError(t, euDR.Node(0).WaitPerformance(ctx, "says that nobody has taken the primary's place",
		func(s *cluster.PerformanceStatus) error {
			if s.State != "idle" || !strings.Contains(s.LastError, "its DR secondary at "+usDR.Node(0).ClusterAddress()+
				" has not taken its place") {
				return fmt.Errorf("it says %q", s.LastError)
			}
			return nil
		}))
	require.NoError(t, testcluster.PromoteDRSecondary(ctx, usDR))
	usDR.SetRootToken(usToken)
	require.NoError(t, usDR.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, euDR.Node(0).WaitPerformanceStreaming(ctx))
	put(t, usDR, "kv/b", map[string]any{"v": "three"})
	eventually(t, euDR, "kv/b", "v", "three")
	put(t, euDR, "kv/c", map[string]any{"v": "four"})
	eventually(t, usDR, "kv/c", "v", "four")
	eventually(t, euDR, "mine/a", "v", "eu")

	// The old primary comes back as the primary it was, and the new one is away for a
	// while: the secondary waits for the new one.
	require.NoError(t, us.Restart(ctx, false))
	put(t, us, "kv/a", map[string]any{"v": "nobody follows"})
	require.NoError(t, usDR.Stop(ctx, false))
	require.NoError(t, euDR.Node(0).WaitPerformance(ctx, "has lost the new primary",
		func(s *cluster.PerformanceStatus) error {
			if s.State != "idle" {
				return fmt.Errorf("it is %s", s.State)
			}
			return nil
		}))
	require.NoError(t, usDR.Restart(ctx, false))
	require.NoError(t, euDR.Node(0).WaitPerformanceStreaming(ctx))
	put(t, euDR, "kv/c", map[string]any{"v": "five"})
	eventually(t, usDR, "kv/c", "v", "five")
	eventually(t, euDR, "kv/a", "v", "two")
	// Told to follow it, the secondary refuses: what it has is newer.
	put(t, euDR, cluster.PathPerformance+"secondary/update-primary",
		map[string]any{"update_primary_addrs": us.Node(0).ClusterAddress()})
	require.NoError(t, euDR.Node(0).WaitPerformance(ctx, "refuses the old primary",
		func(s *cluster.PerformanceStatus) error {
			if s.State != "idle" || !strings.Contains(s.LastError, "the secondary has data of a newer primary") {
				return fmt.Errorf("it is %s and says %q", s.State, s.LastError)
			}
			return nil
		}))
	put(t, euDR, cluster.PathPerformance+"secondary/update-primary",
		map[string]any{"update_primary_addrs": usDR.Node(0).ClusterAddress()})
	require.NoError(t, euDR.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, euDR, "kv/a", "v", "two")

	// It is demoted and follows its former DR secondary, which it may replace one day.
	put(t, us, "sys/replication/dr/primary/demote", nil)
	require.NoError(t, us.Node(0).WaitRole(ctx, "secondary"))
	_, err := rejoin(t, us, usDR, "former-refused", nil)
	require.ErrorContains(t, err, "has written 1 value that the new primary does not have, in kv/ (1)")
	_, err = rejoin(t, us, usDR, "former", map[string]any{"keep_own_writes": true})
	require.NoError(t, err)
	require.NoError(t, us.Node(0).WaitStreaming(ctx))
	require.NoError(t, euDR.Node(0).WaitPerformance(ctx, "knows the former primary as one that may take the new one's "+
		"place", func(s *cluster.PerformanceStatus) error {
		if !slices.Equal(s.KnownFailover, []string{us.Node(0).ClusterAddress()}) {
			return fmt.Errorf("it knows %v", s.KnownFailover)
		}
		return nil
	}))
}

// A planned switch between two performance clusters, without a wipe.
func TestPerformanceSwitch(t *testing.T) {
	parallel(t)
	a, b := performancePair(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	mounted(t, a, b, "kv")
	put(t, b, "kv/a", map[string]any{"v": "one"})
	require.NoError(t, b.WaitCaughtUp(ctx, a))

	put(t, a, cluster.PathPerformance+"primary/demote", nil)
	require.NoError(t, a.Node(0).WaitPerformanceRole(ctx, "secondary"))
	put(t, b, cluster.PathPerformance+"secondary/promote", nil)
	require.NoError(t, b.Node(0).WaitPerformanceRole(ctx, "primary"))
	refused := refusal(t, once(t, a, a.GetRootToken()), http.MethodPut, "kv/a", map[string]any{"v": "lost"})
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	require.Equal(t, []string{"this cluster is a performance secondary and cannot reach its primary, which did not " +
		"carry out this write " +
		"(this secondary has no primary: use update-primary with a token of the primary): see " +
		"sys/replication/performance/status, and try again later"}, refused.Errors)
	eventually(t, b, "kv/a", "v", "one")

	token := put(t, b, cluster.PathPerformance+"primary/secondary-token", map[string]any{"id": "a"})
	put(t, a, cluster.PathPerformance+"secondary/update-primary", map[string]any{"token": token.WrapInfo.Token,
		"ca_file": b.GetCACertPEMFile()})
	require.NoError(t, a.Node(0).WaitPerformanceStreaming(ctx))
	put(t, a, "kv/a", map[string]any{"v": "two"})
	eventually(t, a, "kv/a", "v", "two")
	eventually(t, b, "kv/a", "v", "two")
	// Its tokens are its own, and go on.
	_, err := client(a).ReadWithContext(ctx, "auth/token/lookup-self")
	require.NoError(t, err)
}

// What becomes filtered disappears, what is allowed again comes back.
func TestPathsFilter(t *testing.T) {
	parallel(t)
	// On file storage what a cluster has stored can be looked at from outside.
	us, eu := clusters(t, cluster.Options{Storage: cluster.File})
	require.NoError(t, us.EnablePerformancePrimary(t.Context()))
	require.NoError(t, eu.JoinPerformance(t.Context(), us, "west"))
	const path = cluster.PathPerformance + "primary/paths-filter/west"
	for _, mount := range []string{"shown", "hidden"} {
		mounted(t, us, eu, mount)
		put(t, us, mount+"/a", map[string]any{"v": "one"})
		eventually(t, eu, mount+"/a", "v", "one")
	}
	_, err := client(us).WriteWithContext(t.Context(), path, map[string]any{"mode": "deny", "paths": "hiden/"})
	require.ErrorContains(t, err, "no mount hiden/")
	require.NotEmpty(t, storedBelow(t, eu, viewOf(t, us, "hidden/")))
	put(t, us, path, map[string]any{"mode": "deny", "paths": "hidden/"})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, cluster.Wait(ctx, "hidden/ has gone", func(ctx context.Context) error {
		mounts, err := eu.Node(0).APIClient().Sys().ListMountsWithContext(ctx)
		if err != nil {
			return err
		}
		if mounts["hidden/"] != nil {
			return fmt.Errorf("it is still there")
		}
		return nil
	}))
	for c, side := range map[*cluster.Cluster]string{us: "primary", eu: "secondary"} {
		list, err := client(c).ReadWithContext(ctx, cluster.PathPerformance+side+"/dynamic-filter/west")
		require.NoError(t, err)
		require.Equal(t, []any{"hidden/"}, list.Data["dynamic_filtered_mounts"], side)
	}
	cluster.Eventually(t, limit, "what was stored of hidden/ is deleted", func(context.Context) error {
		if left := storedBelow(t, eu, viewOf(t, us, "hidden/")); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
	_, err = client(eu).WriteWithContext(ctx, "hidden/a", map[string]any{"v": "no"})
	require.Error(t, err)
	put(t, us, "hidden/a", map[string]any{"v": "two"})
	put(t, us, "shown/a", map[string]any{"v": "two"})
	eventually(t, eu, "shown/a", "v", "two")

	_, err = client(us).DeleteWithContext(ctx, path)
	require.NoError(t, err)
	eventually(t, eu, "hidden/a", "v", "two")
	put(t, eu, "hidden/a", map[string]any{"v": "three"})
	eventually(t, us, "hidden/a", "v", "three")
}

// What a secondary has of a mount goes with the mount, its own certificates too,
// which the primary knows nothing of.
func TestUnmountLeavesNothingStored(t *testing.T) {
	parallel(t)
	us, eu := clusters(t, cluster.Options{Storage: cluster.File})
	require.NoError(t, us.EnablePerformancePrimary(t.Context()))
	require.NoError(t, eu.JoinPerformance(t.Context(), us, "west"))
	require.NoError(t, us.Node(0).APIClient().Sys().MountWithContext(t.Context(), "ca", &api.MountInput{Type: "pki"}))
	put(t, us, "ca/root/generate/internal", map[string]any{"common_name": "root.test", "ttl": "24h"})
	put(t, us, "ca/roles/web", map[string]any{"allow_any_name": true})
	view := viewOf(t, us, "ca/")
	cluster.Eventually(t, limit, "the secondary issues a certificate", func(ctx context.Context) error {
		_, err := client(eu).WriteWithContext(ctx, "ca/issue/web", map[string]any{"common_name": "a.test", "ttl": "1h"})
		return err
	})
	require.NotEmpty(t, storedBelow(t, eu, view+"certs/"))
	require.NoError(t, us.Node(0).APIClient().Sys().UnmountWithContext(t.Context(), "ca"))
	cluster.Eventually(t, limit, "nothing of the mount is left", func(context.Context) error {
		if left := storedBelow(t, eu, view); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}

// viewOf is where a secrets engine's keys are.
func viewOf(t *testing.T, c *cluster.Cluster, mount string) string {
	t.Helper()
	mounts, err := c.Node(0).APIClient().Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	require.NotNil(t, mounts[mount])
	return "logical/" + mounts[mount].UUID + "/"
}

// storedBelow are the files of a node on file storage below a prefix.
func storedBelow(t *testing.T, c *cluster.Cluster, prefix string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(c.Node(0).DataDir(), prefix), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			files = append(files, path)
		}
		return nil
	})
	require.NoError(t, err)
	return files
}
