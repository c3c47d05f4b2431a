// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// loadEnv is how long the mixed load lasts, 20s by default; a soak takes 5m.
const loadEnv = "VAULT_REPLICATION_LOAD"

// Sixteen clients of a performance secondary notice neither changes on the
// primary nor, but for what needs the primary, that the link is cut.
func TestPerformanceServesMixedLoadWhileThePrimaryChangesAndTheLinkIsCut(t *testing.T) {
	parallel(t)
	const clients = 16
	ctx, database := t.Context(), postgres.New(t)
	// The primary names the cable as its address, or the secondary would learn the
	// way around it.
	link, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(link.Close)
	// A busy machine may need more than the two seconds that the secondary waits for a
	// forwarded write by default; then its answer would say so, and no client err.
	opts := cluster.Options{Binary: product(t), CA: cluster.NewTestCA(t), Name: "secondary",
		ExtraHCL: `replication { best_effort_wal_wait_duration = "40s" }`}
	secondary := cluster.New(t, opts)
	opts.Name, opts.ClusterAddr = "primary", "https://"+link.Addr()
	primary := cluster.New(t, opts)
	link.Aim(strings.TrimPrefix(primary.Node(0).ClusterAddress(), "https://"))
	root := primary.Node(0).APIClient()
	require.NoError(t, load.PrepareClients(ctx, root, clients, load.Database{URL: database.URL(), Admin: database.Admin,
		Password: database.Password}))
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))

	working, err := load.StartClients(ctx, secondary.Node(0).APIClient, clients)
	require.NoError(t, err)
	w := &weather{t: t, working: working, link: link, primary: root, secondary: secondary.Node(0).APIClient()}
	w.secondary.SetMaxRetries(0)
	end := time.Now().Add(duration(t, loadEnv, 20*time.Second))
	for ; time.Now().Before(end) || w.round < 3; w.round++ {
		// With the link whole nothing is excused, before the changes and after them.
		w.calm()
		w.changes()
		w.calm()
		w.outage([]func(){link.Cut, link.Freeze}[w.round%2])
	}
	last, wrong := working.Stop()
	t.Log(working.Report())
	require.NoError(t, wrong)
	require.NotEmpty(t, last)
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
	for path, value := range last {
		for _, c := range []*api.Client{root, w.secondary} {
			secret, err := c.Logical().ReadWithContext(ctx, path)
			require.NoError(t, err)
			require.NotNil(t, secret, path)
			require.Equal(t, value, secret.Data["value"], path)
		}
	}
	require.NoError(t, testcluster.WaitForMatchingMerkleRoots(ctx, cluster.PathPerformance, primary, secondary))
}

// weather is what goes on around the clients.
type weather struct {
	t                  *testing.T
	working            *load.Clients
	link               *cable.Cable
	primary, secondary *api.Client
	round              int
}

// calm waits until the clients have had some forwarded requests carried out.
func (w *weather) calm() {
	w.t.Helper()
	const enough = 64
	from := w.working.Forwarded()
	cluster.Eventually(w.t, limit, "the clients work", func(context.Context) error {
		if n := w.working.Forwarded() - from; n < enough {
			return fmt.Errorf("%d of %d forwarded requests", n, enough)
		}
		return nil
	})
}

func (w *weather) write(path string, data map[string]any) {
	w.t.Helper()
	write(w.t, w.primary, path, data)
}

// changes are made on the primary while the clients work.
func (w *weather) changes() {
	w.t.Helper()
	ctx, mount, auth := w.t.Context(), fmt.Sprintf("passing/%d", w.round), fmt.Sprintf("passing-%d", w.round)
	require.NoError(w.t, w.primary.Sys().MountWithContext(ctx, mount, &api.MountInput{Type: "kv"}))
	w.write(mount+"/there", map[string]any{"value": "yes"})
	w.seen(mount+"/there", "value", "yes")
	w.working.Passing.Come(mount)
	w.keys()
	require.NoError(w.t, w.primary.Sys().TuneMountWithContext(ctx, load.Mount,
		api.MountConfigInput{MaxLeaseTTL: fmt.Sprintf("%dh", 2+w.round%20)}))
	require.NoError(w.t, w.primary.Sys().EnableAuthWithOptionsWithContext(ctx, auth,
		&api.EnableAuthOptions{Type: "userpass"}))
	w.write("auth/"+auth+"/users/ann", map[string]any{"password": load.Password})
	cluster.Eventually(w.t, limit, "a login by the new method", func(ctx context.Context) error {
		_, err := w.secondary.Logical().WriteWithContext(ctx, "auth/"+auth+"/login/ann",
			map[string]any{"password": load.Password})
		return err
	})
	w.write("identity/entity/name/"+auth, map[string]any{"policies": "load"})
	w.seen("identity/entity/name/"+auth, "name", auth)
	w.working.Passing.Go()
	require.NoError(w.t, w.primary.Sys().RemountWithContext(ctx, mount, mount+"-moved"))
	w.seen(mount+"-moved/there", "value", "yes")
	w.working.Passing.Come(mount + "-moved")
	require.NoError(w.t, w.primary.Sys().DisableAuthWithContext(ctx, auth))
	w.calm()
	w.working.Passing.Go()
	require.NoError(w.t, w.primary.Sys().UnmountWithContext(ctx, mount+"-moved"))
}

// keys changes policies and keys.
func (w *weather) keys() {
	w.t.Helper()
	ctx := w.t.Context()
	rule := fmt.Sprintf("%s\npath \"round-%d/*\" { capabilities = [\"read\"] }", load.Policy, w.round)
	require.NoError(w.t, w.primary.Sys().PutPolicyWithContext(ctx, "load", rule))
	require.NoError(w.t, w.primary.Sys().RotateWithContext(ctx))
	w.write("transit/keys/load/rotate", nil)
}

// seen waits until the secondary answers a value.
func (w *weather) seen(path, field, want string) {
	w.t.Helper()
	cluster.Eventually(w.t, limit, path+" is on the secondary", func(ctx context.Context) error {
		secret, err := w.secondary.Logical().ReadWithContext(ctx, path)
		switch {
		case err != nil:
			return err
		case secret == nil || fmt.Sprint(secret.Data[field]) != want:
			return fmt.Errorf("it answers %v", secret)
		}
		return nil
	})
}

// outage has the primary change while the link is out. It ends for the clients when
// those changes are there and a write of the secondary's own goes through.
func (w *weather) outage(begin func()) {
	w.t.Helper()
	path, data := load.Mount+"/link", map[string]any{"value": fmt.Sprint(w.round)}
	w.working.Outage.Begin()
	begin()
	cluster.Eventually(w.t, limit, "a write of the secondary fails while the link is out",
		func(ctx context.Context) error {
			if _, err := w.secondary.Logical().WriteWithContext(ctx, path+"-out", data); err == nil {
				return fmt.Errorf("it went through")
			}
			return nil
		})
	mount := fmt.Sprintf("unseen-%d", w.round)
	require.NoError(w.t, w.primary.Sys().MountWithContext(w.t.Context(), mount, &api.MountInput{Type: "kv"}))
	w.write(mount+"/a", data)
	w.keys()
	w.write(path, data)
	w.link.Mend()
	cluster.Eventually(w.t, limit, "the link works again", func(ctx context.Context) error {
		_, err := w.secondary.Logical().WriteWithContext(ctx, path+"-back", data)
		return err
	})
	w.seen(path, "value", fmt.Sprint(w.round))
	w.seen(mount+"/a", "value", fmt.Sprint(w.round))
	w.working.Outage.End()
	require.NoError(w.t, w.primary.Sys().UnmountWithContext(w.t.Context(), mount))
}
