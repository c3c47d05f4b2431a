// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
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
	ca := cluster.NewTestCA(t)
	start := func(name string, o cluster.Options) *cluster.Cluster {
		o.Name, o.CA, o.Binary, o.OpenMetrics = name, ca, product(t), true
		return cluster.New(t, o)
	}
	// The primary takes larger values than the secondary, and keeps little for it.
	primary := start("primary",
		cluster.Options{MaxEntrySize: 4 << 20, ExtraHCL: `replication { slot_max_retained = "64KiB" }`})
	secondary := start("secondary", cluster.Options{Storage: cluster.File})
	client := primary.Node(0).APIClient()
	require.NoError(t, client.Sys().MountWithContext(ctx, "kv1", &api.MountInput{Type: "kv"}))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	a := &alarms{Server: prometheus.New(t, rules, primary, secondary), t: t, fired: map[string]bool{}}
	cluster.Eventually(t, time.Minute, "all is well", func(ctx context.Context) error {
		if read, err := a.Reads(ctx, "vault_replication_working"); err != nil || read != 2 {
			return fmt.Errorf("%d clusters are read (%w)", read, err)
		}
		firing, err := a.Firing(ctx)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("firing: %v", firing)
		}
		return err
	})

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
	for i := range 400 {
		write(t, client, fmt.Sprintf("kv1/m-%d", i), map[string]any{"n": i})
	}
	a.until("VaultReplicationSlotLost", primary, true)
	require.NoError(t, secondary.Restart(ctx, true))
	a.until("VaultReplicationSlotLost", primary, false)
	a.until("VaultReplicationSlotNearItsCap", primary, false)
	a.until("VaultReplicationSecondaryDisconnected", primary, false)

	// The primary dies, and comes back.
	require.NoError(t, primary.Stop(ctx, false))
	a.until("VaultReplicationNotWorking", secondary, true)
	require.NoError(t, primary.Restart(ctx, false))
	a.until("VaultReplicationNotWorking", secondary, false)

	// Two primaries.
	require.NoError(t, secondary.PromoteWith(ctx, map[string]any{"dr_operation_token": token, "force": true}))
	a.until("VaultReplicationContested", secondary, true)

	a.requireAll("VaultReplicationLag", "VaultReplicationUnknownKeys")
}

// TestArithmeticOfAlerts has promtool check the rest of the rules.
func TestArithmeticOfAlerts(t *testing.T) {
	parallel(t)
	cmd := exec.CommandContext(t.Context(), "promtool", "test", "rules", "rules_test.yml")
	cmd.Dir = filepath.Dir(rules)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// requireAll finds rules that the test did not see fire.
func (a *alarms) requireAll(but ...string) {
	a.t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(rules))
	require.NoError(a.t, err)
	for _, name := range but {
		a.fired[name] = true
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		require.True(a.t, a.fired[m[1]], "%s was not seen", m[1])
	}
}
