// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/differential"
)

// differentialName is every target's cluster name, so that it is no difference.
const differentialName = "differential"

// side is one way to run this build; start returns its target.
type side struct {
	name  string
	start func(*testing.T, cluster.Options) *cluster.Cluster
}

// sides are compared with stock Vault.
var sides = []side{
	{differential.Single, startSingle},
	{differential.Primary, startPrimary},
}

func startSingle(t *testing.T, opts cluster.Options) *cluster.Cluster { return cluster.New(t, opts) }

func startPrimary(t *testing.T, opts cluster.Options) *cluster.Cluster {
	c := cluster.New(t, opts)
	require.NoError(t, c.EnableDRPrimary(t.Context()))
	return c
}

// Several hundred requests over all engines and auth methods are answered as
// stock Vault answers them, but for the documented differences.
func TestDifferential(t *testing.T) {
	parallel(t)
	opts := cluster.Options{Name: differentialName, CA: cluster.NewTestCA(t)}
	opts.Binary = stock(t)
	reference := differentialTarget(differential.Stock, cluster.New(t, opts))
	opts.Binary = product(t)
	var others []differential.Target
	for _, s := range sides {
		others = append(others, differentialTarget(s.name, s.start(t, opts)))
	}
	fixtures, err := differential.NewFixtures()
	require.NoError(t, err)
	runner := differential.NewRunner(fixtures, reference, others...)
	t.Cleanup(runner.Close)

	all := true
	for _, section := range differential.Sections() {
		ran := false
		t.Run(strings.ReplaceAll(section.Name, " ", "-"), func(t *testing.T) {
			ran = true
			for target, problems := range runner.Run(t.Context(), section) {
				t.Errorf("%s:\n  %s", target, strings.Join(problems, "\n  "))
			}
		})
		all = all && ran
	}
	if all && !t.Failed() {
		require.Empty(t, runner.Unused(), "entries of the table of differences that nothing needs")
	}
}

func differentialTarget(name string, c *cluster.Cluster) differential.Target {
	node := c.Node(0)
	address := strings.TrimPrefix(node.Address(), "https://")
	return differential.Target{
		Name: name, Address: node.Address(), Token: c.GetRootToken(), TLS: node.TLSConfig(),
		Values: map[string]string{
			"api_address": address, "cluster_address": strings.TrimPrefix(node.ClusterAddress(), "https://"),
			"root_token": c.GetRootToken(),
		},
	}
}
