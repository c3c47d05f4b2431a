// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/postgres"
	"github.com/vault-replication/vault-replication/integration/prometheus"
)

// rules are what operators load.
const rules = "../docs/monitoring/rules.yml"

// alarms is a real Prometheus that watches clusters.
type alarms struct {
	*prometheus.Server
	t *testing.T
	// fired are the alerts that a test has seen.
	fired map[string]bool
}

// Each alert is seen by one of two tests.
var (
	alertsOfADRSet = []string{
		"VaultReplicationContested", "VaultReplicationIndexCorrupted", "VaultReplicationKeysMissing",
		"VaultReplicationNotConsistent", "VaultReplicationNotWorking", "VaultReplicationSecondaryDisconnected",
		"VaultReplicationSecondaryDisplaced", "VaultReplicationSlotLost", "VaultReplicationSlotLostSoon",
		"VaultReplicationSlotNearItsCap",
	}
	alertsOfAPerformanceSet = []string{
		"VaultReplicationForwardingFails", "VaultReplicationLag", "VaultReplicationPluginRestarts",
		"VaultReplicationUnknownKeys", "VaultReplicationWaitsRunOut",
	}
)

// watched starts clusters whose metrics anybody may read.
func watched(t *testing.T) (start func(name string, o cluster.Options) *cluster.Cluster) {
	ca := cluster.NewTestCA(t)
	return func(name string, o cluster.Options) *cluster.Cluster {
		o.Name, o.CA, o.Binary, o.OpenMetrics = name, ca, product(t), true
		return cluster.New(t, o)
	}
}

// watch begins to watch clusters, and waits until their roles, so many in both modes, are read and nothing fires.
func watch(t *testing.T, roles int, of ...*cluster.Cluster) *alarms {
	t.Helper()
	a := &alarms{Server: prometheus.New(t, rules, of...), t: t, fired: map[string]bool{}}
	cluster.Eventually(t, time.Minute, "all is well", func(ctx context.Context) error {
		if read, err := a.Reads(ctx, "vault_replication_working"); err != nil || read != roles {
			return fmt.Errorf("%d roles are read (%w)", read, err)
		}
		firing, err := a.Firing(ctx)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("firing: %v", firing)
		}
		return err
	})
	return a
}

// until waits until an alert of a cluster fires, or no longer does.
func (a *alarms) until(name string, of *cluster.Cluster, fires bool) {
	a.t.Helper()
	cluster.Eventually(a.t, 2*time.Minute, fmt.Sprintf("%s of %s fires: %t", name, of.Options().Name, fires),
		func(ctx context.Context) error {
			firing, err := a.Firing(ctx)
			if err != nil {
				return err
			}
			if firing[name+" "+of.Options().Name] != fires {
				return fmt.Errorf("firing: %v", firing)
			}
			return nil
		})
	a.fired[name] = true
}

// TestAlertsFireAndClear breaks a set in each way that a rule speaks of.
func TestAlertsFireAndClear(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	start := watched(t)
	// The primary takes larger values than the secondary, and keeps little for it.
	primary := start("primary",
		cluster.Options{MaxEntrySize: 4 << 20, ExtraHCL: `replication { slot_max_retained = "64KiB" }`})
	secondary := start("secondary", cluster.Options{Storage: cluster.File})
	client := primary.Node(0).APIClient()
	require.NoError(t, client.Sys().MountWithContext(ctx, "kv1", &api.MountInput{Type: "kv"}))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	a := watch(t, 2, primary, secondary)

	// A name that the secondary's storage refuses.
	long := "kv1/" + strings.Repeat("n", 300)
	write(t, client, long, map[string]any{"v": "x"})
	a.until("VaultReplicationKeysMissing", secondary, true)
	a.until("VaultReplicationNotConsistent", secondary, true)
	_, err := client.Logical().DeleteWithContext(ctx, long)
	require.NoError(t, err)
	a.until("VaultReplicationKeysMissing", secondary, false)
	a.until("VaultReplicationNotConsistent", secondary, false)

	// Its storage is changed below the server.
	for i := range 20 {
		write(t, client, fmt.Sprintf("kv1/harmed-%d", i), map[string]any{"n": i})
	}
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	harm(t, secondary.Node(0), "logical", 1)
	token, err := secondary.OperationToken()
	require.NoError(t, err)
	write(t, secondary.Node(0).Anonymous(), "sys/replication/dr/secondary/merkle-check",
		map[string]any{"dr_operation_token": token})
	a.until("VaultReplicationIndexCorrupted", secondary, true)
	write(t, secondary.Node(0).Anonymous(), "sys/replication/dr/secondary/merkle-check",
		map[string]any{"dr_operation_token": token})
	a.until("VaultReplicationIndexCorrupted", secondary, false)

	// It is away, for longer than its slot allows.
	require.NoError(t, secondary.Stop(ctx, true))
	a.until("VaultReplicationSecondaryDisconnected", primary, true)
	for n := 0; ; n += 20 {
		for i := range 20 {
			write(t, client, fmt.Sprintf("kv1/n-%d", n+i), map[string]any{"n": n})
		}
		s, err := primary.Node(0).DRStatus(ctx)
		require.NoError(t, err)
		if s.Slots[0].State == "warning" {
			break
		}
	}
	a.until("VaultReplicationSlotNearItsCap", primary, true)
	a.until("VaultReplicationSlotLostSoon", primary, true)
	for i := range 400 {
		write(t, client, fmt.Sprintf("kv1/m-%d", i), map[string]any{"n": i})
	}
	a.until("VaultReplicationSlotLost", primary, true)
	require.NoError(t, secondary.Restart(ctx, true))
	a.until("VaultReplicationSlotLost", primary, false)
	a.until("VaultReplicationSlotNearItsCap", primary, false)
	a.until("VaultReplicationSlotLostSoon", primary, false)
	a.until("VaultReplicationSecondaryDisconnected", primary, false)

	// Its storage is copied to another cluster, which comes under its id.
	twin := start("twin", cluster.Options{Storage: cluster.File})
	require.NoError(t, twin.Stop(ctx, true))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, secondary.Stop(ctx, true))
	require.NoError(t, os.RemoveAll(twin.Node(0).DataDir()))
	require.NoError(t, os.CopyFS(twin.Node(0).DataDir(), os.DirFS(secondary.Node(0).DataDir())))
	twin.Adopt(primary)
	require.NoError(t, secondary.Restart(ctx, true))
	require.NoError(t, twin.Restart(ctx, true))
	a.until("VaultReplicationSecondaryDisplaced", primary, true)
	require.NoError(t, twin.Stop(ctx, false))
	a.until("VaultReplicationSecondaryDisplaced", primary, false)

	// The primary dies, and comes back.
	require.NoError(t, primary.Stop(ctx, false))
	a.until("VaultReplicationNotWorking", secondary, true)
	require.NoError(t, primary.Restart(ctx, false))
	a.until("VaultReplicationNotWorking", secondary, false)

	// Two primaries, until one of them is demoted.
	require.NoError(t, secondary.PromoteWith(ctx, map[string]any{"dr_operation_token": token, "force": true}))
	a.until("VaultReplicationContested", secondary, true)
	write(t, secondary.Node(0).APIClient(), "sys/replication/dr/primary/demote", nil)
	a.until("VaultReplicationContested", secondary, false)
	a.requireSeen(alertsOfADRSet)
}

// TestAlertsOfAPerformanceSetFireAndClear does so for clusters that serve clients, and has each panel of the dashboard
// and each name of the document checked by what the servers give.
func TestAlertsOfAPerformanceSetFireAndClear(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	start, db := watched(t), postgres.New(t)
	primary := start("primary", cluster.Options{ExtraHCL: `raw_storage_endpoint = true`})
	tables := db.VaultTables(t, "secondary")
	secondary := start("secondary", cluster.Options{Storage: cluster.PostgreSQL, Tables: tables})
	client := primary.Node(0).APIClient()
	require.NoError(t, client.Sys().MountWithContext(ctx, "kv1", &api.MountInput{Type: "kv"}))
	require.NoError(t, client.Sys().EnableAuthWithOptionsWithContext(ctx, "userpass", &api.MountInput{Type: "userpass"}))
	write(t, client, "auth/userpass/users/u", map[string]any{"password": "p"})
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "secondary"))
	a := watch(t, 3, primary, secondary)
	there := secondary.Node(0).APIClient()

	// What clients do all day.
	write(t, there, "auth/userpass/login/u", map[string]any{"password": "p"})
	write(t, primary.Node(0).APIClient(), "sys/replication/merkle-check", nil)
	var writers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			for i := range 20 {
				_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("kv1/%d-%d", w, i), map[string]any{"v": "x"})
				assert.NoError(t, err)
			}
		})
	}
	writers.Wait()

	// Its storage takes no writes for a time.
	end := lock(t, db, tables.Entries)
	still, enough := context.WithCancel(ctx)
	defer enough()
	go needed(still, client, there)
	a.until("VaultReplicationWaitsRunOut", secondary, true)
	a.until("VaultReplicationLag", primary, true)
	cluster.Eventually(t, time.Minute, "how long the slot lasts is known", func(ctx context.Context) error {
		return a.has(ctx, "vault_replication_slot_seconds_to_lost")
	})
	end()
	a.until("VaultReplicationLag", primary, false)
	enough()
	a.until("VaultReplicationWaitsRunOut", secondary, false)

	// Its plugin dies again and again.
	for range 4 {
		killNamed(t, secondary, "replication-performance")
	}
	a.until("VaultReplicationPluginRestarts", secondary, true)
	a.until("VaultReplicationPluginRestarts", secondary, false)

	// The primary is away, and clients of the secondary go on to write.
	require.NoError(t, primary.Stop(ctx, true))
	still, enough = context.WithCancel(ctx)
	defer enough()
	go func() {
		for still.Err() == nil {
			_, _ = there.Logical().WriteWithContext(still, "kv1/away", map[string]any{"v": "x"})
		}
	}()
	a.until("VaultReplicationForwardingFails", secondary, true)
	require.NoError(t, primary.Restart(ctx, true))
	a.until("VaultReplicationForwardingFails", secondary, false)
	enough()

	// Something is written that no release knows. The count is that of the process.
	write(t, client, "sys/raw/unheard/of", map[string]any{"value": "x"})
	a.until("VaultReplicationUnknownKeys", primary, true)
	require.NoError(t, primary.Restart(ctx, true))
	a.until("VaultReplicationUnknownKeys", primary, false)
	a.requireSeen(alertsOfAPerformanceSet)
	a.requireDashboard()
	a.requireDocumented()
}

// needed writes on the primary and has a client of the secondary want each write, until the context ends.
func needed(ctx context.Context, primary, secondary *api.Client) {
	once, err := secondary.Clone()
	if err != nil {
		return
	}
	once.SetToken(secondary.Token())
	once.SetMaxRetries(0)
	for ctx.Err() == nil {
		var state string
		_, _ = primary.WithResponseCallbacks(api.RecordState(&state)).Logical().WriteWithContext(ctx, "kv1/needed",
			map[string]any{"v": "x"})
		_, _ = once.WithRequestCallbacks(api.RequireState(state)).Logical().ReadWithContext(ctx, "kv1/needed")
	}
}

// lock lets a table be read and not be written, until the function is called.
func lock(t *testing.T, db *postgres.Server, table string) (end func()) {
	t.Helper()
	const sleeps = "SELECT pg_sleep(3600)"
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = db.Query(t.Context(), db.Admin, db.Password, "BEGIN; LOCK TABLE "+table+" IN SHARE MODE; "+sleeps)
	}()
	cluster.Eventually(t, limit, "the table is locked", func(ctx context.Context) error {
		n, err := db.Query(ctx, db.Admin, db.Password, "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND granted")
		if err == nil && n == "0" {
			err = errors.New("not yet")
		}
		return err
	})
	return func() {
		_, err := db.Query(t.Context(), db.Admin, db.Password, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "+
			"WHERE query LIKE '%"+sleeps+"' AND pid <> pg_backend_pid()")
		require.NoError(t, err)
		<-ended
	}
}

// TestEachAlertIsSeen finds a rule that no test of real servers sees fire.
func TestEachAlertIsSeen(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.FromSlash(rules))
	require.NoError(t, err)
	var all []string
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	require.ElementsMatch(t, slices.Concat(alertsOfADRSet, alertsOfAPerformanceSet), all)
}

// requireSeen finds an alert that the test did not see.
func (a *alarms) requireSeen(names []string) {
	a.t.Helper()
	for _, name := range names {
		require.True(a.t, a.fired[name], "%s was not seen", name)
	}
}

// has is an error if an expression has had no series.
func (a *alarms) has(ctx context.Context, expression string) error {
	n, err := a.Series(ctx, expression)
	if err == nil && n == 0 {
		err = fmt.Errorf("no series has been there of %s", expression)
	}
	return err
}

// requireDashboard finds an expression of the dashboard that shows nothing.
func (a *alarms) requireDashboard() {
	a.t.Helper()
	text, err := os.ReadFile(filepath.FromSlash("../docs/monitoring/dashboard.json"))
	require.NoError(a.t, err)
	var dashboard struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	require.NoError(a.t, json.Unmarshal(text, &dashboard))
	require.NotEmpty(a.t, dashboard.Panels)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			assert.NoError(a.t, a.has(a.t.Context(), strings.ReplaceAll(target.Expr, "$mode", ".+")))
		}
	}
}

// unseen are names that need a directory of users whose groups change.
var unseen = []string{"vault_replication_rpc_client_upsert_group", "vault_replication_rpc_server_upsert_group_request"}

// requireDocumented compares the names of the document with those that the servers have given.
func (a *alarms) requireDocumented() {
	a.t.Helper()
	text, err := os.ReadFile(filepath.FromSlash("../docs/monitoring.md"))
	require.NoError(a.t, err)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`(vault_\\w+)`").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
	}
	given, err := a.Names(a.t.Context(), "vault_")
	require.NoError(a.t, err)
	all := map[string]bool{}
	for _, name := range given {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		all[name] = true
		ours := strings.HasPrefix(name, "vault_replication_") || strings.HasPrefix(name, "vault_logshipper_")
		assert.True(a.t, !ours || documented[name], "monitoring.md does not name %s", name)
	}
	for name := range documented {
		assert.True(a.t, all[name] || slices.Contains(unseen, name), "no server has given %s", name)
	}
}
