// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/transcript"
)

// reader is somebody who follows documents at the terminals of some clusters.
type reader struct {
	t     *testing.T
	names map[string]*cluster.Cluster
	*transcript.Player
}

// newReader follows a document. The names are those of the clusters in it, which are the prompts
// of their terminals too.
func newReader(t *testing.T, document string, names map[string]*cluster.Cluster) *reader {
	t.Helper()
	steps, err := transcript.Read("../" + document)
	require.NoError(t, err)
	dir := t.TempDir()
	r := &reader{t: t, names: names, Player: &transcript.Player{
		Steps: steps, Dir: dir, Limit: limit, Log: t.Logf, Terminals: map[string][]string{},
		Known: map[string]*regexp.Regexp{"eyJhbGciOiJFUzUxMiIs…": regexp.MustCompile(`wrapping_token:\s+(\S+)`)},
	}}
	bin := filepath.Join(dir, "path")
	require.NoError(t, os.Mkdir(bin, 0o700))
	for name, c := range names {
		for _, binary := range []string{"vault", "vault-replication"} {
			_ = os.Symlink(c.Options().Binary, filepath.Join(bin, binary))
		}
		ca, err := os.ReadFile(c.GetCACertPEMFile())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600))
		host := strings.ToLower(name) + ".example"
		n := c.Node(0)
		r.Names = append(r.Names,
			"https://"+host+":8200", n.Address(), host+":8200", strings.TrimPrefix(n.Address(), "https://"),
			"https://"+host+":8201", n.ClusterAddress(), host+":8201", strings.TrimPrefix(n.ClusterAddress(), "https://"),
			"/etc/vault/"+strings.ToLower(name)+"-ca.pem", c.GetCACertPEMFile())
		r.Terminals[name] = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "VAULT_ADDR=" + n.Address(),
			"VAULT_CACERT=" + c.GetCACertPEMFile(), "VAULT_TOKEN=" + c.GetRootToken(), "NO_COLOR=1"}
	}
	return r
}

// section follows a section, or the next steps of it.
func (r *reader) section(heading string, steps ...int) {
	r.t.Helper()
	require.NoError(r.t, r.Section(r.t.Context(), heading, steps...))
}

// operationToken makes a DR operation token as the runbook says.
func (r *reader) operationToken(keys [][]byte) {
	r.t.Helper()
	const heading = "3. A DR operation token"
	r.section(heading, 1)
	shares := make([]string, len(keys))
	for i, key := range keys {
		shares[i] = hex.EncodeToString(key)
	}
	require.NoError(r.t, r.Answer(r.t.Context(), heading, shares...))
	r.section(heading)
}

// newOperationToken is another one; the document writes it as it did the first.
func (r *reader) newOperationToken(c *cluster.Cluster) {
	r.t.Helper()
	token, err := c.OperationToken()
	require.NoError(r.t, err)
	r.Value("dro.6GgVYBLl…", token)
}

// with gives a terminal another token.
func (r *reader) with(prompt, token string) {
	env := r.Terminals[prompt]
	for i, v := range env {
		if strings.HasPrefix(v, "VAULT_TOKEN=") {
			env[i] = "VAULT_TOKEN=" + token
		}
	}
}

// Each command of the documents that operators follow is run, and prints what they show.
func TestDocumentsThatOperatorsFollow(t *testing.T) {
	t.Parallel()
	walks := map[string]map[string]func(*testing.T) []*transcript.Step{
		"README.md": {"in both modes": followREADME},
		"docs/runbook.md": {
			"disaster recovery":                         followDisasterRecovery,
			"a performance primary with a DR secondary": followPerformanceWithDR,
			"a performance primary alone":               followPerformance,
			"without the API":                           followWithoutAPI,
			"a first copy":                              followFirstCopy,
		},
	}
	var mu sync.Mutex
	left := map[string]int{} // by how many walks a step was not played
	t.Run("walks", func(t *testing.T) {
		for document, of := range walks {
			for name, walk := range of {
				t.Run(document+", "+name, func(t *testing.T) {
					parallel(t)
					steps := walk(t)
					mu.Lock()
					defer mu.Unlock()
					for _, s := range steps {
						left[s.String()+" "+s.Command]++
						if left[s.String()+" "+s.Command] == len(of) {
							t.Errorf("nobody runs %v: %s", s, s.Command)
						}
					}
				})
			}
		}
	})
}

// The primary dies, its DR secondary takes over, and the old one comes back. Then they
// change over as planned, and replication ends.
func followDisasterRecovery(t *testing.T) []*transcript.Step {
	ctx := t.Context()
	plugins := pluginFolder(t)
	opts := cluster.Options{Name: "a", Binary: product(t), CA: cluster.NewTestCA(t), Shares: 3, Threshold: 2,
		Env: []string{"VAULT_REPLICATION_PLUGIN_DIR=" + plugins}}
	a := cluster.New(t, opts)
	opts.Name, opts.Env = "b", nil
	b := cluster.New(t, opts)
	require.NoError(t, a.EnableDRPrimary(ctx))
	require.NoError(t, b.JoinDR(ctx, a))
	r := newReader(t, "docs/runbook.md", map[string]*cluster.Cluster{"A": a, "B": b})
	r.Terminals[""] = r.Terminals["A"]
	r.Names = append(r.Names, "/opt/vault/plugins", plugins)

	r.section("Prepare")
	app := put(t, a, "auth/token/create", map[string]any{"ttl": "2h"}).Auth.ClientToken
	require.NoError(t, b.WaitEqual(ctx, a))
	require.NoError(t, a.Stop(ctx, false))
	r.section("1. Is it really?")
	r.section("2. Look at B")
	r.operationToken(b.GetBarrierKeys()[:2])
	r.section("4. Promote B")
	r.with("B", app)
	r.section("5. Check, and lead the clients to B")
	r.with("B", b.GetRootToken())
	require.NoError(t, a.Restart(ctx, false))
	r.section("The old primary comes back")
	require.NoError(t, a.WaitEqual(ctx, b))

	back := func(id string) {
		t.Helper()
		put(t, b, cluster.PathPrimaryDemote, nil)
		require.NoError(t, a.Promote(ctx))
		require.NoError(t, b.RejoinDR(ctx, a, id))
		require.NoError(t, b.WaitEqual(ctx, a))
	}
	back("b-1")
	r.section("A planned switch", 1)
	require.NoError(t, a.Promote(ctx))
	require.NoError(t, b.RejoinDR(ctx, a, "b-2"))
	r.section("A planned switch")
	back("b-3")

	// A second outage, after which the old primary takes writes.
	put(t, a, "sys/mounts/secret", map[string]any{"type": "kv"})
	withBoth(t)(a)
	require.NoError(t, b.WaitEqual(ctx, a))
	require.NoError(t, a.Stop(ctx, false))
	require.NoError(t, b.Promote(ctx))
	require.NoError(t, a.Restart(ctx, false))
	takesOwnWrites(t, a, b)
	demote(t, a)
	_, err := rejoin(t, a, b, "refused", nil)
	require.ErrorContains(t, err, "has written 6 values that the new primary does not have, in secret/ (5)")
	r.newOperationToken(a)
	r.section("A has writes of its own")
	require.NoError(t, a.WaitEqual(ctx, b))
	back("west")

	r.newOperationToken(b)
	r.section("The secondary is idle", 4)
	require.NoError(t, b.WaitEqual(ctx, a))
	r.section("The DR operation token is lost")
	pid, err := pluginProcess(a)
	require.NoError(t, err)
	file := filepath.Join(plugins, "replication-dr")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.Remove(file))
	script(t, plugins, "replication-dr", "#!/bin/sh\nexit 3\n")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	r.section("The plugin is down", 3)
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.WriteFile(file, content, 0o700))
	r.section("The plugin is down")
	require.NoError(t, b.Node(0).WaitStreaming(ctx))

	r.section("The secondary is idle")
	r.newOperationToken(b)
	r.section("Disable")
	return r.Steps
}

// The secondary is activated without a call to the API of the primary, and gives a snapshot.
func followWithoutAPI(t *testing.T) []*transcript.Step {
	ctx := t.Context()
	a, b := clusters(t, cluster.Options{})
	require.NoError(t, a.EnableDRPrimary(ctx))
	r := newReader(t, "docs/runbook.md", map[string]*cluster.Cluster{"A": a, "B": b})
	r.section("The secondary cannot reach the primary's API")
	b.Adopt(a)
	require.NoError(t, b.Node(0).WaitStreaming(ctx))
	require.NoError(t, b.WaitEqual(ctx, a))
	r.newOperationToken(b)
	r.section("A snapshot of a DR secondary")
	snapshot, err := os.Stat(filepath.Join(r.Dir, "west.snap"))
	require.NoError(t, err)
	require.Positive(t, snapshot.Size())
	return r.Steps
}

// performanceSet starts a performance primary with secondaries, by name. Their ids are their names.
func performanceSet(t *testing.T, names ...string) map[string]*cluster.Cluster {
	t.Helper()
	set := map[string]*cluster.Cluster{}
	opts := cluster.Options{Binary: product(t), CA: cluster.NewTestCA(t)}
	for i, name := range names {
		opts.Name = name
		set[name] = cluster.New(t, opts)
		if i == 0 {
			require.NoError(t, set[name].EnablePerformancePrimary(t.Context()))
		} else {
			require.NoError(t, set[name].JoinPerformance(t.Context(), set[names[0]], name))
		}
	}
	return set
}

// The performance primary dies, and its DR secondary takes its place. Then the old one turns out to be right.
func followPerformanceWithDR(t *testing.T) []*transcript.Step {
	ctx := t.Context()
	set := performanceSet(t, "us", "eu")
	us, eu := set["us"], set["eu"]
	b := cluster.New(t, cluster.Options{Name: "b", Binary: product(t), CA: us.Options().CA})
	set["B"] = b
	require.NoError(t, us.EnableDRPrimary(ctx))
	token, err := us.ActivationToken(ctx, "west")
	require.NoError(t, err)
	put(t, b, cluster.PathSecondaryEnable, map[string]any{"token": token, "ca_file": us.GetCACertPEMFile()})
	b.Adopt(us)
	require.NoError(t, b.Node(0).WaitStreaming(ctx))
	r := newReader(t, "docs/runbook.md", set)
	require.NoError(t, eu.Node(0).WaitPerformance(ctx, "knows the DR secondary", func(s *cluster.PerformanceStatus) error {
		if len(s.KnownFailover) == 0 {
			return errors.New("it does not")
		}
		return nil
	}))
	require.NoError(t, us.Stop(ctx, false))
	r.section("The performance primary is dead")
	require.NoError(t, b.Promote(ctx))
	r.section("It has a DR secondary")
	r.section("Two primaries", 1)
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	require.NoError(t, us.Restart(ctx, false))
	require.NoError(t, us.Node(0).WaitRole(ctx, "primary"))
	r.section("Two primaries")
	require.NoError(t, b.Node(0).WaitStreaming(ctx))
	return r.Steps
}

// The performance primary dies, a secondary takes its place, and the old one comes back.
// Then it is made the primary again, as planned.
func followPerformance(t *testing.T) []*transcript.Step {
	ctx := t.Context()
	set := performanceSet(t, "us", "eu", "asia")
	us, eu, asia := set["us"], set["eu"], set["asia"]
	put(t, us, "sys/mounts/secret-us", map[string]any{"type": "kv"})
	put(t, us, "sys/auth/ldap-us", map[string]any{"type": "userpass"})
	for _, c := range []*cluster.Cluster{eu, asia} {
		require.NoError(t, c.WaitCaughtUp(ctx, us))
	}
	r := newReader(t, "docs/runbook.md", set)
	r.section("Keep mounts away from a secondary")
	_, err := us.Node(0).APIClient().Logical().DeleteWithContext(ctx, cluster.PathPerformance+"primary/paths-filter/eu")
	require.NoError(t, err)
	cluster.Eventually(t, limit, "eu has what was hidden from it", func(ctx context.Context) error {
		mounts, err := eu.Node(0).APIClient().Sys().ListMountsWithContext(ctx)
		if err == nil && mounts["secret-us/"] == nil {
			err = errors.New("it has not")
		}
		return err
	})
	require.NoError(t, eu.WaitCaughtUp(ctx, us))
	require.NoError(t, us.Stop(ctx, false))
	r.section("It has none, and is gone for good")
	require.NoError(t, asia.Node(0).WaitPerformanceStreaming(ctx))
	require.NoError(t, us.Restart(ctx, false))
	r.section("The old performance primary comes back")
	require.NoError(t, us.Node(0).WaitPerformanceStreaming(ctx))

	put(t, eu, cluster.PathPerformance+"primary/demote", nil)
	put(t, us, pathPromote, nil)
	follow(t, eu, us, "eu-2")
	r.section("A planned switch of the performance primary")
	require.NoError(t, us.Node(0).WaitPerformanceStreaming(ctx))
	return r.Steps
}

// The primary dies before the first copy of a secondary has ended, and another cluster of the set
// takes its place.
func followFirstCopy(t *testing.T) []*transcript.Step {
	ctx := t.Context()
	link, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(link.Close)
	opts := cluster.Options{Name: "us", Binary: product(t), CA: cluster.NewTestCA(t),
		ClusterAddr: "https://" + link.Addr()}
	us := cluster.New(t, opts)
	link.Aim(strings.TrimPrefix(us.Node(0).ClusterAddress(), "https://"))
	opts.Name, opts.ClusterAddr = "asia", ""
	asia := cluster.New(t, opts)
	opts.Name = "eu"
	eu := cluster.New(t, opts)
	require.NoError(t, us.EnablePerformancePrimary(ctx))
	require.NoError(t, asia.JoinPerformance(ctx, us, "asia"))
	token := put(t, us, cluster.PathPerformance+"primary/secondary-token", map[string]any{"id": "eu"})
	put(t, eu, cluster.PathPerformance+"secondary/enable", map[string]any{"token": token.WrapInfo.Token,
		"ca_file": us.GetCACertPEMFile()})
	link.Cut()
	eu.Adopt(us)
	require.NoError(t, eu.Node(0).WaitPerformance(ctx, "waits for its first copy",
		func(s *cluster.PerformanceStatus) error {
			if s.Mode != "bootstrapping" || s.State != "idle" {
				return errors.New("it does not yet")
			}
			return nil
		}))
	require.NoError(t, us.Stop(ctx, false))
	promoteCutOff(t, asia)
	r := newReader(t, "docs/runbook.md", map[string]*cluster.Cluster{"eu": eu, "asia": asia})
	const heading = "The first copy of a performance secondary does not end"
	r.newOperationToken(eu)
	r.section(heading)
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	return r.Steps
}

// What the README shows, with two clusters in each mode.
func followREADME(t *testing.T) []*transcript.Step {
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	set := map[string]*cluster.Cluster{}
	for _, name := range []string{"east", "west", "us", "eu"} {
		set[name] = cluster.New(t, cluster.Options{Name: name, Binary: product(t), CA: ca})
	}
	east, west, us, eu := set["east"], set["west"], set["us"], set["eu"]
	r := newReader(t, "README.md", set)
	r.Terminals[""] = r.Terminals["east"]
	require.NoError(t, os.Symlink(filepath.Dir(product(t)), filepath.Join(r.Dir, "bin")))
	r.Names = append(r.Names, "/etc/vault/primary-ca.pem", east.GetCACertPEMFile())
	r.Steps = slices.DeleteFunc(r.Steps, func(s *transcript.Step) bool {
		ofDemo := s.Prompt == "west" && strings.Contains(s.Command, "kv get")
		return ofDemo || strings.HasPrefix(s.Command, "make ")
	})

	r.section("Install")
	r.Value("hvb.AAAA…", batchToken(t, east))
	r.section("Quick start", 4)
	west.Adopt(east)
	require.NoError(t, west.WaitEqual(ctx, east))
	r.section("Quick start")

	put(t, us, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	put(t, us, "sys/auth/userpass", map[string]any{"type": "userpass"})
	put(t, us, "sys/policies/acl/alice", map[string]any{"policy": `path "secret/*" { capabilities = ["read", "update", "create"] }
path "sys/mounts/eu-only" { capabilities = ["update", "sudo"] }`})
	put(t, us, "auth/userpass/users/alice", map[string]any{"password": "p", "policies": "alice"})
	cluster.Eventually(t, limit, "the key-value engine takes a secret", func(ctx context.Context) error {
		_, err := us.Node(0).APIClient().Logical().WriteWithContext(ctx, "secret/data/app/db", map[string]any{
			"data": map[string]any{"user": "y"}})
		return err
	})
	const heading = "A performance secondary"
	r.section(heading, 3)
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	eu.Adopt(us)
	r.section(heading, 1)
	require.NoError(t, r.Answer(ctx, heading, "p"))
	r.section(heading)
	return r.Steps
}
