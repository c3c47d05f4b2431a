// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BinEnv is the environment variable with the folder of the built binaries. The
// integration tests are skipped without it.
const BinEnv = "VAULT_REPLICATION_BIN"

// OldBinEnv is the environment variable with the folder of the binaries of the release before.
// The tests of upgrades are skipped without it.
const OldBinEnv = "VAULT_REPLICATION_OLD_BIN"

// KeepEnv is the environment variable that keeps the folders of a failed test's clusters,
// with their whole logs.
const KeepEnv = "VAULT_REPLICATION_KEEP"

// startLimit bounds the start of a cluster in a test.
const startLimit = 3 * time.Minute

// Binary is the path of a built binary, or the test is skipped.
func Binary(t testing.TB, name string) string {
	t.Helper()
	return binary(t, BinEnv, name, "the built binaries (make test does)", "make build")
}

// OldBinary is the path of a binary of the release before, or the test is skipped.
func OldBinary(t testing.TB, name string) string {
	t.Helper()
	return binary(t, OldBinEnv, name, "the binaries of the release before (make upgrade builds them and does)",
		"make upgrade")
}

func binary(t testing.TB, env, name, of, builds string) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		t.Skipf("set %s to the folder of %s", env, of)
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s names a folder without %s: run %s first", env, name, builds)
	}
	return path
}

// NewTestCA makes a CA that lives as long as the test.
func NewTestCA(t testing.TB) *CA {
	t.Helper()
	ca, err := NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// New starts a cluster for a test. When the test ends its roots are compared with what it
// has stored (see [Cluster.CheckIndexes]), its logs are looked through (see [Cluster.CheckLogs]),
// and it is removed. If the test failed, the ends of its logs are printed.
func New(t testing.TB, opts Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	c, err := Start(ctx, opts)
	if err != nil {
		t.Fatalf("starting cluster %s: %v", opts.Name, err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			c.check(t)
		}
		if t.Failed() {
			t.Logf("end of the logs of %s:\n%s", c.opts.Name, c.Logs())
			c.opts.KeepDir = c.opts.KeepDir || os.Getenv(KeepEnv) != ""
		}
		c.Cleanup()
	})
	return c
}

// check fails the test if what the cluster says of its content is not true.
func (c *Cluster) check(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), checkLimit)
	defer cancel()
	if err := c.CheckLogs(); err != nil {
		t.Errorf("what no server may log: %v", err)
	}
	err := c.CheckIndexes(ctx)
	var unchecked errUnchecked
	switch {
	case err == nil:
	case errors.As(err, &unchecked):
		t.Logf("the roots of %s are not compared with its content: %v", c.opts.Name, err)
	default:
		t.Errorf("at the end of the test: %v", err)
	}
}
