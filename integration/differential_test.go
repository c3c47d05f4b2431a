// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/differential"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// side is one way to run this build.
type side struct {
	name string
	// start returns the cluster and, of a performance secondary, its primary.
	start func(*testing.T, cluster.Options) (c, upstream *cluster.Cluster)
}

// sides are compared with stock Vault.
var sides = []side{
	{differential.Single, startSingle},
	{differential.Primary, startPrimary},
	{differential.Secondary, startSecondary},
}

func startSingle(t *testing.T, opts cluster.Options) (c, upstream *cluster.Cluster) {
	t.Helper()
	return cluster.New(t, opts), nil
}

// startPrimary starts a primary of both modes.
func startPrimary(t *testing.T, opts cluster.Options) (c, upstream *cluster.Cluster) {
	t.Helper()
	c = cluster.New(t, opts)
	require.NoError(t, c.EnableDRPrimary(t.Context()))
	require.NoError(t, c.EnablePerformancePrimary(t.Context()))
	return c, nil
}

// startSecondary starts a performance secondary of a primary of its own.
func startSecondary(t *testing.T, opts cluster.Options) (c, upstream *cluster.Cluster) {
	t.Helper()
	primary, secondary := cluster.New(t, opts), cluster.New(t, opts)
	require.NoError(t, primary.EnablePerformancePrimary(t.Context()))
	require.NoError(t, secondary.JoinPerformance(t.Context(), primary, "secondary"))
	return secondary, primary
}

// Several hundred requests over all engines and auth methods are answered as
// stock Vault answers them, but for the documented differences.
func TestDifferential(t *testing.T) {
	parallel(t)
	product := product(t)
	outside := newOutside(t)
	// All have one name, so that the name of the cluster is no difference.
	opts := cluster.Options{Name: "differential", Binary: stock(t), CA: cluster.NewTestCA(t), ExtraHCL: outside.hcl(),
		// The database engine logs that its write of a static role was refused, and then the primary carries it out.
		MayLog: []string{"unable to write to storage: database=main role=static"}}
	plain := cluster.New(t, opts)
	requireAllBuiltins(t, plain)
	reference := outside.target(t, differential.Stock, plain)
	opts.Binary = product
	var others []differential.Target
	replicating := map[string]*cluster.Cluster{}
	for _, s := range sides {
		c, upstream := s.start(t, opts)
		replicating[s.name] = c
		target := outside.target(t, s.name, c)
		if upstream != nil {
			replicating[upstreamName] = upstream
			target.Upstream = &differential.Target{
				Name: upstreamName, Address: upstream.Node(0).Address(), Token: upstream.GetRootToken(),
				TLS: upstream.Node(0).TLSConfig(),
			}
		}
		others = append(others, target)
	}
	runner := differential.NewRunner(outside.fixtures, reference, others...)
	t.Cleanup(runner.Close)

	// What the sections have made stays until all keys were walked.
	all := eachSection(t, "", runner.Run)
	if all {
		t.Run("stored", func(t *testing.T) {
			requireClassified(t, replicating[differential.Primary])
			requireClassified(t, replicating[upstreamName])
			requireClassified(t, replicating[differential.Secondary])
			requireSharedAlone(t, replicating[upstreamName], replicating[differential.Secondary])
			requireIndexed(t, replicating)
		})
		eachSection(t, "end-of-", runner.Finish)
		t.Run("indexed", func(t *testing.T) { requireIndexed(t, replicating) })
		t.Run("restarted", func(t *testing.T) {
			for _, c := range replicating {
				if c != replicating[differential.Single] {
					requireIndexStored(t, c)
				}
			}
			requireIndexed(t, replicating)
		})
	}
	// With a part of the sections (-run) nothing can be said about the table.
	if all && !t.Failed() {
		require.Empty(t, runner.Unused(), "entries of the table of differences that nothing needs")
	}
}

// upstreamName is the primary of the secondary that is compared.
const upstreamName = "primary of the secondary"

// eachSection sends all sections, or those that -run names, and says whether it was
// all.
func eachSection(t *testing.T, prefix string, send func(context.Context, differential.Section) map[string][]string) (
	all bool) {
	t.Helper()
	all = true
	for _, section := range differential.Sections() {
		ran := false
		t.Run(prefix+strings.ReplaceAll(section.Name, " ", "-"), func(t *testing.T) {
			ran = true
			for target, problems := range send(t.Context(), section) {
				t.Errorf("%s:\n  %s", target, strings.Join(problems, "\n  "))
			}
		})
		all = all && ran
	}
	return all
}

// outside are the services that the servers under test use.
type outside struct {
	fixtures *differential.Fixtures
	database *postgres.Server
	plugins  string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	fixtures, err := differential.NewFixtures()
	require.NoError(t, err)
	o := &outside{fixtures: fixtures, database: postgres.New(t), plugins: t.TempDir()}
	sum := buildExternalPlugin(t, filepath.Join(o.plugins, "externalplugin"))
	for name, value := range map[string]string{
		"plugin_command": "externalplugin", "plugin_sha256": sum,
		"postgres_url": o.database.URL(), "postgres_admin": o.database.Admin, "postgres_password": o.database.Password,
	} {
		fixtures.Give(name, value)
	}
	return o
}

// hcl is the part of a server's configuration that lets it run the plugins, and the
// test read its mount tables.
func (o *outside) hcl() string {
	return fmt.Sprintf("plugin_directory = %q\nraw_storage_endpoint = true", o.plugins)
}

// target is a cluster's only server with a user of the database of its own.
func (o *outside) target(t *testing.T, name string, c *cluster.Cluster) differential.Target {
	t.Helper()
	static := "static_" + strings.ReplaceAll(strings.ToLower(name), " ", "_")
	_, err := o.database.Query(t.Context(), o.database.Admin, o.database.Password,
		"CREATE ROLE "+static+" WITH LOGIN PASSWORD 'first'")
	require.NoError(t, err)
	node := c.Node(0)
	return differential.Target{
		Name: name, Address: node.Address(), Token: c.GetRootToken(), TLS: node.TLSConfig(),
		Values: map[string]string{
			"api_address":     strings.TrimPrefix(node.Address(), "https://"),
			"cluster_address": strings.TrimPrefix(node.ClusterAddress(), "https://"),
			"root_token":      c.GetRootToken(), "target_dir": c.Options().Dir, "postgres_static_user": static,
		},
	}
}

// buildExternalPlugin builds the plugin for the tests and returns its checksum.
func buildExternalPlugin(t *testing.T, file string) string {
	t.Helper()
	_ = product(t) // without servers nobody needs it: the test is skipped
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./externalplugin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
