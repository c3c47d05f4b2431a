// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/transcript"
)

// example is a file of the two regions that are documented.
func example(t *testing.T, name ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"../deploy/regions"}, name...)...))
	require.NoError(t, err)
	return string(text)
}

// region is three machines with the files of a region, and a release, which do not run yet.
type region struct {
	name  string
	nodes []*cluster.Machine
}

func newRegion(t *testing.T, name string, ca *cluster.CA) *region {
	t.Helper()
	r := &region{name: name}
	for range 3 {
		m := cluster.NewMachine(t, ca)
		released(t, m.Root+"/opt/vault-replication")
		unit, err := os.ReadFile("../deploy/systemd/vault.service")
		require.NoError(t, err)
		m.Put("/etc/systemd/system/vault.service", string(unit))
		r.nodes = append(r.nodes, m)
	}
	return r
}

// names are pairs: the addresses of the documents, and those of here.
func (r *region) names() (pairs []string) {
	for i, m := range r.nodes {
		host := fmt.Sprintf("https://vault-%d.%s.example", i+1, r.name)
		pairs = append(pairs, host+":8200", m.Address(), host+":8201", m.ClusterAddress())
	}
	return pairs
}

// start writes the configuration of the nodes and starts them.
func (r *region) start(t *testing.T, unseals *cluster.Cluster, token string) {
	t.Helper()
	// The example of the seal is that of east.
	seal := strings.NewReplacer("east", r.name, "hvs.EXAMPLE", token).Replace(example(t, "seal", "transit.hcl"))
	names := append(r.names(), "https://unseal."+r.name+".example:8200", unseals.Node(0).Address())
	for i, m := range r.nodes {
		m.Put("/etc/vault.d/vault.hcl", example(t, r.name, "vault.hcl"), names...)
		m.Put("/etc/vault.d/vault.env", example(t, r.name, fmt.Sprintf("node-%d.env", i+1)), names...)
		m.Put("/etc/vault.d/seal.hcl", seal, names...)
		require.NoError(t, m.Systemctl(t.Context(), "start"))
	}
}

// sealToken follows the document for a region, and is the token that it makes.
func sealToken(t *testing.T, steps []*transcript.Step, unseals *cluster.Cluster, name string) string {
	t.Helper()
	dir := t.TempDir()
	policy := strings.ReplaceAll(example(t, "seal", "transit-policy.hcl"), "east", name)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "deploy/regions/seal"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "deploy/regions/seal/transit-policy.hcl"), []byte(policy), 0o600))
	require.NoError(t, os.Symlink(stock(t), filepath.Join(dir, "vault")))
	player := &transcript.Player{Steps: steps, Dir: dir, Limit: limit, Log: t.Logf, Names: []string{"east", name},
		Terminals: map[string][]string{"unseal": {"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "NO_COLOR=1",
			"VAULT_ADDR=" + unseals.Node(0).Address(), "VAULT_CACERT=" + unseals.GetCACertPEMFile(),
			"VAULT_TOKEN=" + unseals.GetRootToken()}}}
	if name != "east" { // the engine is there already
		player.Steps = slices.DeleteFunc(slices.Clone(steps), func(s *transcript.Step) bool {
			return s.Command == "vault secrets enable transit"
		})
	}
	require.NoError(t, player.Section(t.Context(), "The keys that unseal"))
	token, err := os.ReadFile(filepath.Join(dir, "seal.token"))
	require.NoError(t, err)
	return strings.TrimSpace(string(token))
}

// The two regions of the documents start with the files of deploy, unseal themselves and replicate. A reload reads the
// configuration anew.
func TestTwoRegionsOfTheDocuments(t *testing.T) {
	parallelAlone(t)
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	unseals := cluster.New(t, cluster.Options{Name: "unseal", Binary: stock(t), CA: ca})
	steps, err := transcript.Read(deploymentDocument)
	require.NoError(t, err)
	player := &transcript.Player{Steps: steps, Dir: t.TempDir(), Limit: limit, Log: t.Logf,
		Terminals: map[string][]string{}}
	var regions []*region
	for _, name := range []string{"east", "west"} {
		r := newRegion(t, name, ca)
		r.start(t, unseals, sealToken(t, slices.Clone(steps), unseals, name))
		require.NoError(t, os.Symlink(product(t), r.nodes[0].Root+"/usr/bin/vault"))
		player.Terminals[name] = r.nodes[0].Terminal()
		regions = append(regions, r)
	}
	player.Names = append(player.Names, "/etc/vault.d/tls/ca.pem", ca.File)
	require.NoError(t, player.Section(ctx, "Start the clusters"))
	require.NoError(t, player.Section(ctx, "Replicate"))

	first := regions[0].nodes[0]
	require.NoError(t, first.Systemctl(ctx, "reload"))
	cluster.Eventually(t, limit, "the server says that it has reloaded", func(context.Context) error {
		said := first.Said()
		at := slices.Index(said, "RELOADING=1")
		if at < 0 || !slices.Contains(said[at:], "READY=1") {
			return fmt.Errorf("it has said %v", said)
		}
		return nil
	})
}
