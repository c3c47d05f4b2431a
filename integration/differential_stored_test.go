// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/differential"
	"github.com/vault-replication/vault-replication/integration/stored"
)

// requireClassified walks all keys of a cluster after the list was sent, and asks
// the server whether a key without a class was ever written.
func requireClassified(t *testing.T, c *cluster.Cluster) *stored.Store {
	t.Helper()
	store, err := stored.Read(t.Context(), c.Node(0).APIClient())
	require.NoError(t, err)
	for _, key := range store.Keys() {
		if store.Classes.Class(key) == keyclass.Unknown {
			t.Errorf("%s has stored %q, which has no class", c.Node(0).Name(), key)
		}
	}
	for _, path := range []string{cluster.PathPerformance + "status", "sys/replication/dr/status"} {
		status, err := c.Node(0).Anonymous().Logical().ReadWithContext(t.Context(), path)
		require.NoError(t, err)
		require.NotContains(t, status.Data, "unclassified_keys", "%s: keys without a class were written", path)
	}
	return store
}

// requireIndexed has each cluster compare its index with its storage: nothing may have
// written around it.
func requireIndexed(t *testing.T, clusters map[string]*cluster.Cluster) {
	t.Helper()
	for _, name := range []string{differential.Primary, upstreamName, differential.Secondary} {
		c := clusters[name]
		cluster.Eventually(t, limit, "the index of the "+name+" is checked", func(ctx context.Context) error {
			checked, err := c.Node(0).APIClient().Logical().WriteWithContext(ctx, "sys/replication/merkle-check", nil)
			if err != nil {
				return err // it is being computed anew
			}
			report := checked.Data["merkle_corruption_report"].(map[string]any)
			if report["corrupted_root"] != false {
				return cluster.Final(fmt.Errorf("the storage has something else than the index: %v", report))
			}
			return nil
		})
	}
}

// requireIndexStored restarts a cluster that is replicated in performance mode: its stored
// index is taken up, whatever mounts it has had.
func requireIndexStored(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	offset, err := c.Node(0).LogSize()
	require.NoError(t, err)
	require.NoError(t, c.Restart(t.Context(), true))
	const text = "index of the replicated content was stored, and is compared with the storage now: mode=performance"
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, c.Node(0).WaitLog(ctx, offset, text))
}

// requireSharedAlone compares what a primary and its secondary have stored: shared
// keys are the same, all others are each cluster's own.
func requireSharedAlone(t *testing.T, primary, secondary *cluster.Cluster) {
	t.Helper()
	require.NoError(t, secondary.WaitCaughtUp(t.Context(), primary))
	var here, there *stored.Store
	cluster.Eventually(t, limit, "the shared keys of both clusters are the same", func(ctx context.Context) (err error) {
		if there, err = stored.Read(ctx, primary.Node(0).APIClient()); err != nil {
			return err
		}
		if here, err = stored.Read(ctx, secondary.Node(0).APIClient()); err != nil {
			return err
		}
		problems, settling := stored.Compare(there, here)
		if len(problems) > 0 {
			return cluster.Final(errors.New(strings.Join(problems, "\n")))
		}
		if len(settling) > 0 {
			return errors.New(strings.Join(settling, "\n"))
		}
		return nil
	})
	requireContent(t, "the primary", there, onPrimary)
	requireContent(t, "the secondary", here, onSecondary)
	for _, row := range keyclass.Rows {
		_, excused := notInTheRun[row.Key]
		excused = excused || strings.Contains(row.Why, "Vault Enterprise")
		if !excused && there.Decided()[row.Key]+here.Decided()[row.Key] == 0 {
			t.Errorf("no key was stored that the row %q of the table of keys decides", row.Key)
		}
	}
}

// onPrimary and onSecondary are what each is to have for itself, beside all engines:
// local mounts and the local storage of engines, as stored.Mounted names them.
var (
	onPrimary = []string{"logical/pki certs/", "logical/pki crls/"}
	// A client of the secondary has made these there.
	onSecondary = []string{
		"logical/cubbyhole local", "logical/kv local", "logical/transit local", "logical/pki local", "auth/userpass local",
		"auth/approle local",
		"logical/pki certs/", "logical/pki crls/", "logical/pki revoked/", "logical/pki config/cluster", "logical/ssh otp/",
		"logical/identity packer/local-aliases/buckets/",
		"auth/approle secret_id_local/", "auth/approle accessor_local/", "logical/outside local/",
	}
)

// notInTheRun are rows of the table of keys for which nothing is stored in this run, beside
// those of Vault Enterprise.
var notInTheRun = map[string]string{
	"replication/former/performance/": "of a primary that was demoted",
	"index/pages/":                    "the index stores it in its own time",
	"index-dr/pages/":                 "the index stores it in its own time",
	"core/dr-operation-token":         "of a DR secondary that is promoted",
	"core/recovery-seal-config":       "of automatic unsealing",
	"replication/performance/missing": "of a secondary whose storage refuses a key",
	"core/recovery-config":            "of automatic unsealing",
	"core/recovery-key":               "of automatic unsealing",
	"core/recovery-keys-backup":       "of a rekey under automatic unsealing",
	"core/unseal-keys-backup":         "of a rekey with PGP keys",
	"core/migration":                  "while storage is migrated",
	"core/seal-gen-info":              "of several seals",
	"core/seal-initialization-flag":   "of several seals",
	"barrier/init":                    "of old versions",
	"utilization":                     "written once a day",
	"core/replication-filters/":       "without a paths filter",
}

// requireAllBuiltins makes sure that no plugin which is built into stock Vault has been
// left out of the list.
func requireAllBuiltins(t *testing.T, reference *cluster.Cluster) {
	t.Helper()
	catalog, err := reference.Node(0).APIClient().Logical().ReadWithContext(t.Context(), "sys/plugins/catalog")
	require.NoError(t, err)
	kinds, named, found := map[string]string{"secret": "logical/", "auth": "auth/", "database": "database/"},
		differential.Plugins(), 0
	for _, entry := range catalog.Data["detailed"].([]any) {
		plugin := entry.(map[string]any)
		if plugin["builtin"] != true {
			continue
		}
		found++
		name := kinds[plugin["type"].(string)] + plugin["name"].(string)
		if _, ok := named[name]; !ok {
			t.Errorf("%s is built into Vault, and no step of the list uses it", name)
		}
	}
	require.NotZero(t, found)
}

// requireContent makes sure that a walk has seen what the list is to leave: without
// it the walk would say nothing.
func requireContent(t *testing.T, name string, store *stored.Store, own []string) {
	t.Helper()
	mounted := store.Mounted()
	for _, kind := range slices.Sorted(maps.Keys(differential.Engines())) {
		if mounted[kind] == 0 {
			t.Errorf("the list has left no key of %s on %s", kind, name)
		}
	}
	for _, part := range own {
		if mounted[part] == 0 {
			t.Errorf("the list has left no key of %s on %s", part, name)
		}
	}
}
