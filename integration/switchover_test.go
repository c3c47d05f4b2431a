// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// promotionPolicy is that of docs/runbook.md, section Prepare.
const promotionPolicy = `path "sys/replication/dr/secondary/promote"        { capabilities = ["update"] }
path "sys/replication/dr/secondary/update-primary" { capabilities = ["update"] }`

// batchToken makes the batch token of the runbook, which is a DR operation token on both clusters.
func batchToken(t *testing.T, primary *cluster.Cluster) string {
	t.Helper()
	c := primary.Node(0).APIClient()
	require.NoError(t, c.Sys().PutPolicyWithContext(t.Context(), "dr-secondary-promotion", promotionPolicy))
	_, err := c.Logical().WriteWithContext(t.Context(), "auth/token/roles/failover-handler", map[string]any{
		"allowed_policies": "dr-secondary-promotion", "orphan": true, "renewable": false, "token_type": "batch",
	})
	require.NoError(t, err)
	secret, err := c.Auth().Token().CreateWithRoleWithContext(t.Context(), &api.TokenCreateRequest{TTL: "8h"},
		"failover-handler")
	require.NoError(t, err)
	return secret.Auth.ClientToken
}

// operator runs "replication …" of the server binary as somebody who operates both clusters.
type operator struct {
	t      *testing.T
	binary string
	env    []string
}

func newOperator(t *testing.T, at *cluster.Cluster, env ...string) *operator {
	return &operator{t: t, binary: at.Options().Binary, env: append(env,
		"PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "VAULT_ADDR="+at.Node(0).Address(),
		"VAULT_CACERT="+at.GetCACertPEMFile(), "NO_COLOR=1")}
}

// run returns what the command printed and its exit code.
func (o *operator) run(args ...string) (string, int) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), o.binary, append([]string{"replication"}, args...)...)
	cmd.Env = o.env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// cut kills the command as soon as it has printed that a step begins.
func (o *operator) cut(step string, args ...string) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), o.binary, append([]string{"replication"}, args...)...)
	cmd.Env = o.env
	out, err := cmd.StdoutPipe()
	require.NoError(o.t, err)
	require.NoError(o.t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), step+" ") {
	}
	require.NoError(o.t, lines.Err())
	require.NoError(o.t, cmd.Process.Kill())
	_ = cmd.Wait()
}

// terminal runs the command in a terminal that answers no question, and types Ctrl-C once the output is as wanted.
func (o *operator) terminal(wanted func(out string) bool, args ...string) (string, int) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "script", "-qefc", "exec "+o.binary+" replication "+strings.Join(args, " "),
		"/dev/null")
	cmd.Env = slices.Concat(o.env, []string{"TERM=xterm-256color"})
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	keys, err := cmd.StdinPipe()
	require.NoError(o.t, err)
	require.NoError(o.t, cmd.Start(), "Debian has script in bsdutils")
	cluster.Eventually(o.t, limit, "the terminal shows it", func(context.Context) error {
		if !wanted(out.String()) {
			return fmt.Errorf("it shows %q", out.String())
		}
		return nil
	})
	_, err = keys.Write([]byte{3})
	require.NoError(o.t, err)
	_ = cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

// lockedBuffer is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// traffic writes and reads at both clusters, whichever serves, and remembers what was acknowledged.
type traffic struct {
	mu      sync.Mutex
	told    map[string]string
	longest map[string]time.Duration
	last    map[string]time.Time
}

// run goes on until the context ends.
func (tr *traffic) run(ctx context.Context, clients ...*api.Client) {
	tr.told, tr.longest, tr.last = map[string]string{}, map[string]time.Duration{}, map[string]time.Time{}
	var wg sync.WaitGroup
	for side, c := range clients {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key, value := fmt.Sprintf("of-%d/%d", side, n), strconv.Itoa(n)
				if _, err := c.Logical().WriteWithContext(ctx, "secret/"+key, map[string]any{"v": value}); err == nil {
					tr.served("write", key, value)
				}
				if _, err := c.Logical().ReadWithContext(ctx, "secret/"+key); err == nil {
					tr.served("read", "", "")
				}
			}
		})
	}
	wg.Wait()
}

func (tr *traffic) served(what, key, value string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	if last := tr.last[what]; !last.IsZero() {
		tr.longest[what] = max(tr.longest[what], now.Sub(last))
	}
	tr.last[what] = now
	if key != "" {
		tr.told[key] = value
	}
}

// check finds what was acknowledged and is not there.
func (tr *traffic) check(t *testing.T, c *api.Client) {
	t.Helper()
	require.NotEmpty(t, tr.told)
	for key, value := range tr.told {
		secret, err := c.Logical().ReadWithContext(t.Context(), "secret/"+key)
		require.NoError(t, err)
		require.NotNil(t, secret, key)
		require.Equal(t, value, secret.Data["v"], key)
	}
}

// switchable starts a DR pair, with a batch token for both.
func switchable(t *testing.T, nodes int) (a, b *cluster.Cluster, o *operator) {
	t.Helper()
	ca, binary := cluster.NewTestCA(t), cluster.Binary(t, "vault-replication")
	a = cluster.New(t, cluster.Options{Name: "a", CA: ca, Binary: binary, Nodes: nodes})
	b = cluster.New(t, cluster.Options{Name: "b", CA: ca, Binary: binary, Nodes: nodes})
	require.NoError(t, a.Node(0).APIClient().Sys().MountWithContext(t.Context(), "secret", &api.MountInput{Type: "kv"}))
	require.NoError(t, a.EnableDRPrimary(t.Context()))
	require.NoError(t, b.JoinDR(t.Context(), a))
	return a, b, newOperator(t, a, "VAULT_TOKEN="+a.GetRootToken(), "VAULT_DR_OPERATION_TOKEN="+batchToken(t, a))
}

// switchThereAndBack moves the role of primary and back while clients write and read. The operator
// of each direction is the one with the tokens for it.
func switchThereAndBack(t *testing.T, mode string, a, b *cluster.Cluster, there, back *operator) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var tr traffic
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tr.run(ctx, a.Node(0).APIClient(), b.Node(0).APIClient())
	}()
	from, to := a, b
	for _, o := range []*operator{there, back} {
		out, code := o.run("switchover", "-mode="+mode, "-from="+from.Node(0).Address(), "-to="+to.Node(0).Address(),
			"-rejoin-ca-file="+a.GetCACertPEMFile())
		t.Log(out)
		require.Zero(t, code, out)
		out, code = o.run("plan", "-mode="+mode, "-to="+from.Node(0).Address())
		require.Zero(t, code, out)
		from, to = to, from
	}
	end()
	<-ended
	t.Logf("the longest gap of writers: %s, of readers: %s", tr.longest["write"], tr.longest["read"])
	tr.check(t, a.Node(0).APIClient())
	out, code := there.run("status")
	t.Log(out)
	require.Zero(t, code, out)
}

func TestSwitchoverThereAndBack(t *testing.T) {
	t.Parallel()
	a, b, o := switchable(t, 3)
	switchThereAndBack(t, "dr", a, b, o, o)
	require.NoError(t, b.WaitEqual(t.Context(), a))
}

func TestSwitchoverOfPerformanceThereAndBack(t *testing.T) {
	t.Parallel()
	ca, binary := cluster.NewTestCA(t), cluster.Binary(t, "vault-replication")
	a := cluster.New(t, cluster.Options{Name: "a", CA: ca, Binary: binary})
	b := cluster.New(t, cluster.Options{Name: "b", CA: ca, Binary: binary})
	require.NoError(t, a.Node(0).APIClient().Sys().MountWithContext(t.Context(), "secret", &api.MountInput{Type: "kv"}))
	require.NoError(t, a.EnablePerformancePrimary(t.Context()))
	require.NoError(t, b.JoinPerformance(t.Context(), a, "b"))
	switchThereAndBack(t, "performance", a, b,
		newOperator(t, a, "VAULT_TOKEN="+a.GetRootToken(), "VAULT_TO_TOKEN="+b.GetRootToken()),
		newOperator(t, a, "VAULT_TOKEN="+b.GetRootToken(), "VAULT_TO_TOKEN="+a.GetRootToken()))
}

// TestSwitchoverThatIsCut kills the command at each of its steps. Run again, it ends the switch.
func TestSwitchoverThatIsCut(t *testing.T) {
	t.Parallel()
	a, b, o := switchable(t, 1)
	from, to := a, b
	for _, step := range []string{"check", "demote", "wait", "promote", "rejoin"} {
		args := []string{"switchover", "-from=" + from.Node(0).Address(), "-to=" + to.Node(0).Address(),
			"-rejoin-ca-file=" + a.GetCACertPEMFile()}
		o.cut(step, args...)
		out, code := o.run(args...)
		require.Zero(t, code, "cut at %s: %s", step, out)
		require.NoError(t, from.WaitEqual(t.Context(), to))
		from, to = to, from
	}
}

// TestFailoverIsRefusedBesideALivePrimary shows what plan and failover say with and without a primary.
func TestFailoverIsRefusedBesideALivePrimary(t *testing.T) {
	t.Parallel()
	a, b, o := switchable(t, 1)
	to := "-to=" + b.Node(0).Address()
	out, code := o.run("plan", to)
	require.Zero(t, code, out)
	require.Contains(t, out, "is alive: a switchover loses nothing")
	out, code = o.run("failover", to)
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "use switchover")
	require.NoError(t, b.Node(0).WaitRole(t.Context(), "secondary"))

	require.NoError(t, a.Stop(t.Context(), false))
	out, code = o.run("failover", to)
	require.Zero(t, code, out)
	require.NoError(t, b.Node(0).WaitRole(t.Context(), "primary"))
	require.Contains(t, out, "switchover -mode=dr -from="+a.Node(0).Address()+" "+to+" -rejoin-keep-own-writes\n")
	out, code = o.run("failover", to)
	require.Zero(t, code, out)
}

// TestStatusIsWatched shows the live view in a terminal and without one, in both forms.
func TestStatusIsWatched(t *testing.T) {
	t.Parallel()
	a, b, o := switchable(t, 1)
	const home = "\x1b[H\x1b[J"
	const question = "\x1b]" // of a command that would wait for the terminal's answer
	shown := func(times int, text string) func(string) bool {
		return func(out string) bool {
			looks := strings.Split(out, home)
			return len(looks) > times && strings.Contains(looks[len(looks)-1], text)
		}
	}
	out, code := o.terminal(shown(3, "0 entries"), "status", "-watch")
	require.Zero(t, code, out)
	require.Contains(t, out, "Disaster recovery")
	require.NotContains(t, out, question)

	require.NoError(t, b.Stop(t.Context(), true))
	out, code = o.terminal(shown(1, "is not connected"), "status", "-watch")
	require.Equal(t, 2, code, out)

	// Without a terminal one look follows the other.
	cmd := exec.CommandContext(t.Context(), o.binary, "replication", "status", "-watch", "-format=json")
	cmd.Env = o.env
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	looks := json.NewDecoder(pipe)
	for range 2 {
		var look struct {
			Clusters []struct {
				Address string `json:"address"`
			} `json:"clusters"`
			Problems []string `json:"problems"`
		}
		require.NoError(t, looks.Decode(&look))
		require.Equal(t, a.Node(0).Address(), look.Clusters[0].Address)
		require.NotEmpty(t, look.Problems)
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	require.Equal(t, 2, cmd.ProcessState.ExitCode())
}

// TestPlanNamesTheMountsThatWouldLoseChanges shows what is said of a secondary that is behind, to whom, and without
// the primary.
func TestPlanNamesTheMountsThatWouldLoseChanges(t *testing.T) {
	t.Parallel()
	link, a, b := linked(t)
	client, to, from := a.Node(0).APIClient(), "-to="+b.Node(0).Address(), "-from="+a.Node(0).Address()
	require.NoError(t, client.Sys().MountWithContext(t.Context(), "secret", &api.MountInput{Type: "kv"}))
	require.NoError(t, a.EnableDRPrimary(t.Context()))
	require.NoError(t, b.JoinDR(t.Context(), a))
	o := newOperator(t, a, "VAULT_TOKEN="+a.GetRootToken())
	plan := func(o *operator) (text string, answer struct {
		Safe    bool     `json:"safe"`
		Entries *uint64  `json:"lost_entries"`
		Seconds *float64 `json:"lost_seconds"`
		Of      *struct {
			Mounts []struct {
				Path string `json:"path"`
			} `json:"mounts"`
			Complete bool `json:"complete"`
		} `json:"lost_of"`
	}) {
		text, code := o.run("plan", to, from)
		form, again := o.run("plan", to, from, "-format=json")
		require.Equal(t, code, again)
		require.NoError(t, json.Unmarshal([]byte(form), &answer), form)
		require.Equal(t, answer.Safe, code == 0, form)
		return text, answer
	}
	require.NoError(t, b.WaitEqual(t.Context(), a))
	link.Cut()
	for i := range 3 {
		write(t, client, fmt.Sprintf("secret/lost-%d", i), map[string]any{"v": "x"})
	}
	text, answer := plan(o)
	require.GreaterOrEqual(t, *answer.Entries, uint64(3), text)
	require.NotNil(t, answer.Seconds)
	require.True(t, answer.Of.Complete, text)
	require.Contains(t, text, "Changes are lost of: secret/ (3)")

	text, answer = plan(newOperator(t, a))
	require.Nil(t, answer.Of, "without a token")
	require.NotContains(t, text, "secret/")
	require.Contains(t, text, "tells to a token")
	require.NoError(t, client.Sys().PutPolicyWithContext(t.Context(), "status",
		`path "sys/replication/*" { capabilities = ["read"] }`))
	reader, err := client.Auth().Token().CreateWithContext(t.Context(),
		&api.TokenCreateRequest{Policies: []string{"status"}})
	require.NoError(t, err)
	text, answer = plan(newOperator(t, a, "VAULT_TOKEN="+reader.Auth.ClientToken))
	require.Nil(t, answer.Of, "with a token that may not list mounts")
	require.NotContains(t, text, "secret/")

	require.NoError(t, a.Stop(t.Context(), false))
	text, answer = plan(o)
	require.Nil(t, answer.Entries)
	require.Nil(t, answer.Of)
	require.Contains(t, text, "only the primary knows")
}
