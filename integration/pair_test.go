// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// limit bounds each wait of a test; a healthy run needs a small part of it.
const limit = 2 * time.Minute

// slots bounds how many tests run clusters at the same time: more than a few
// Vault servers on two cores only make each other miss deadlines.
var slots = make(chan struct{}, 2)

// parallel marks the test as parallel and takes a slot for as long as it runs.
func parallel(t *testing.T) {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	// Registered first, so it runs after the clusters are gone.
	t.Cleanup(func() { <-slots })
}

// whole keeps two tests that want all slots from waiting for each other.
var whole sync.Mutex

// parallelAlone marks the test as parallel and takes all slots: its own load is more
// than two cores carry beside the clusters of another test.
func parallelAlone(t *testing.T) {
	t.Helper()
	t.Parallel()
	whole.Lock()
	for range cap(slots) {
		slots <- struct{}{}
	}
	whole.Unlock()
	t.Cleanup(func() {
		for range cap(slots) {
			<-slots
		}
	})
}

func product(t testing.TB) string { return cluster.Binary(t, "vault-replication") }

func stock(t testing.TB) string { return cluster.Binary(t, "vault-plain") }

// clusters starts two clusters that trust one CA, not yet connected.
func clusters(t *testing.T, opts cluster.Options) (primary, secondary *cluster.Cluster) {
	t.Helper()
	opts.Binary = product(t)
	opts.CA = cluster.NewTestCA(t)
	first, second := opts, opts
	first.Name, second.Name = "primary", "secondary"
	return cluster.New(t, first), cluster.New(t, second)
}

// pair starts a DR primary and a DR secondary that streams from it.
func pair(t *testing.T, opts cluster.Options) (primary, secondary *cluster.Cluster) {
	t.Helper()
	primary, secondary = clusters(t, opts)
	require.NoError(t, primary.EnableDRPrimary(t.Context()))
	require.NoError(t, secondary.JoinDR(t.Context(), primary))
	return primary, secondary
}

// artifact is a file name in the test's folder that a server may write to.
func artifact(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	return filepath.Join(dir, name)
}
