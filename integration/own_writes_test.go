// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// split is a pair whose primary, a, died. Its secondary b was promoted, and a came back as the
// primary that it was.
func split(t *testing.T, before func(a *cluster.Cluster)) (a, b *cluster.Cluster, o *operator) {
	t.Helper()
	ctx := t.Context()
	a, b, o = switchable(t, 1)
	before(a)
	require.NoError(t, b.WaitEqual(ctx, a))
	require.NoError(t, a.Stop(ctx, false))
	require.NoError(t, b.Promote(ctx))
	require.NoError(t, a.Restart(ctx, false))
	return a, b, o
}

// takesOwnWrites writes, changes and deletes what the new primary has not heard of.
func takesOwnWrites(t *testing.T, a, b *cluster.Cluster) {
	t.Helper()
	put(t, b, "secret/both", map[string]any{"v": "of b"})
	put(t, a, "secret/both", map[string]any{"v": "of a"})
	for n := range 3 {
		put(t, a, fmt.Sprintf("secret/own-%d", n), map[string]any{"v": fmt.Sprint(n)})
	}
	_, err := client(a).DeleteWithContext(t.Context(), "secret/gone")
	require.NoError(t, err)
	require.NoError(t, a.Node(0).APIClient().Sys().PutPolicyWithContext(t.Context(), "own",
		`path "secret/*" { capabilities = ["read"] }`))
}

func withBoth(t *testing.T) func(a *cluster.Cluster) {
	return func(a *cluster.Cluster) {
		put(t, a, "secret/both", map[string]any{"v": "before"})
		put(t, a, "secret/gone", map[string]any{"v": "before"})
	}
}

// demote makes a DR primary a secondary without a primary.
func demote(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	put(t, c, cluster.PathPrimaryDemote, nil)
	require.NoError(t, c.Node(0).WaitRole(t.Context(), "secondary"))
}

// rejoin asks a demoted DR primary to follow another one, once.
func rejoin(t *testing.T, c, primary *cluster.Cluster, id string, more map[string]any) (*api.Secret, error) {
	t.Helper()
	token, err := primary.ActivationToken(t.Context(), id)
	require.NoError(t, err)
	operation, err := c.OperationToken()
	require.NoError(t, err)
	params := map[string]any{"dr_operation_token": operation, "token": token, "ca_file": primary.GetCACertPEMFile()}
	for name, value := range more {
		params[name] = value
	}
	return once(t, c, "").Logical().WriteWithContext(t.Context(), cluster.PathUpdatePrimary, params)
}

var keptID = regexp.MustCompile(`-id=(\S+),`)

// An old primary that took writes after its secondary was promoted is refused, with their
// number and the mounts, and nothing changes. With the flag they are kept, listed, read and
// removed, and it is the new primary's copy.
func TestAFormerPrimaryKeepsItsOwnWrites(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	a, b, _ := split(t, withBoth(t))
	takesOwnWrites(t, a, b)
	demote(t, a)
	before, err := a.Node(0).DRStatus(ctx)
	require.NoError(t, err)

	_, err = rejoin(t, a, b, "a-1", nil)
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	const sentence = "this cluster was a primary and has written 6 values that the new primary does not have, in " +
		"secret/ (5), sys/policies/acl/ (1): nothing was changed; give keep_own_writes=true to have it keep them in an " +
		"encrypted file before it follows the new primary"
	require.Equal(t, []string{sentence + " (the activation token is used up: ask the primary for a new one)"},
		refused.Errors)
	after, err := a.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.Equal(t, strings.Replace(sentence, ", in secret/ (5), sys/policies/acl/ (1)", "", 1), after.LastError,
		"anybody may read it, so it has no paths of mounts")
	require.Equal(t, []any{before.State, before.MerkleRoot}, []any{after.State, after.MerkleRoot})

	// The operator's plan knows it without an attempt.
	operation, err := a.OperationToken()
	require.NoError(t, err)
	plan, code := newOperator(t, a, "VAULT_DR_OPERATION_TOKEN="+operation).run("plan",
		"-from="+a.Node(0).Address(), "-to="+b.Node(0).Address())
	require.Equal(t, 2, code, plan)
	require.Regexp(t, `was a primary and has \d+ values that another primary may not have, in secret/ \(\d+\)`, plan)
	require.Contains(t, plan, "with keep_own_writes=true")

	// A restart forgets nothing of it.
	require.NoError(t, a.Restart(ctx, false))
	_, err = rejoin(t, a, b, "a-2", nil)
	require.ErrorContains(t, err, "has written 6 values that the new primary does not have")

	secret, err := rejoin(t, a, b, "a-3", map[string]any{"keep_own_writes": true})
	require.NoError(t, err)
	said := keptID.FindStringSubmatch(strings.Join(secret.Warnings, "\n"))
	require.Len(t, said, 2, secret.Warnings)
	require.NoError(t, a.Node(0).WaitStreaming(ctx))
	require.NoError(t, a.WaitEqual(ctx, b))

	token, err := a.OperationToken()
	require.NoError(t, err)
	readKept(t, newOperator(t, a, "VAULT_DR_OPERATION_TOKEN="+token), said[1])
	// No other cluster has them.
	require.Equal(t, "Nothing is kept.\n", keptOf(t, newOperator(t, b, "VAULT_TOKEN="+b.GetRootToken()), "list"))
	// It keeps them in whatever role it has.
	demote(t, b)
	require.NoError(t, a.Promote(ctx))
	o := newOperator(t, a, "VAULT_TOKEN="+a.GetRootToken())
	readKept(t, o, said[1])
	require.Equal(t, "removed "+said[1]+"\n", keptOf(t, o, "remove", "-id="+said[1]))
	require.Equal(t, "Nothing is kept.\n", keptOf(t, o, "list"))
	out, code := o.run("kept", "read", "-id="+said[1])
	require.Equal(t, 1, code)
	require.Contains(t, out, "no values are kept under the id")
}

func keptOf(t *testing.T, o *operator, args ...string) string {
	t.Helper()
	out, code := o.run(append([]string{"kept"}, args...)...)
	require.Zero(t, code, out)
	return out
}

// readKept reads what takesOwnWrites has written.
func readKept(t *testing.T, o *operator, id string) {
	t.Helper()
	require.Regexp(t, `(?s)`+id+` +dr +\S+ +6 +secret/ \(5\), sys/policies/acl/ \(1\)\n$`, keptOf(t, o, "list"))
	type value struct {
		Place   string
		Deleted bool
		Content any
	}
	got := map[string]value{}
	d := json.NewDecoder(strings.NewReader(keptOf(t, o, "read", "-id="+id, "-format=json")))
	for d.More() {
		var v struct {
			Key string
			value
		}
		require.NoError(t, d.Decode(&v))
		got[v.Key[strings.LastIndex(v.Key, "/")+1:]] = v.value
	}
	require.Len(t, got, 6)
	require.Equal(t, value{Place: "secret/", Content: map[string]any{"v": "of a"}}, got["both"])
	require.Equal(t, value{Place: "secret/", Content: map[string]any{"v": "2"}}, got["own-2"])
	require.Equal(t, value{Place: "secret/", Deleted: true}, got["gone"])
	require.Contains(t, fmt.Sprint(got["own"].Content), `path "secret/*"`)
	require.Contains(t, keptOf(t, o, "read", "-id="+id), `{"v":"of a"}`)
}

// A primary that was merely alive has nothing of its own, and neither has one that was
// demoted in order: nobody has to be asked.
func TestAFormerPrimaryThatWroteNothingIsNotRefused(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	a, b, _ := split(t, withBoth(t))
	put(t, b, "secret/both", map[string]any{"v": "of b"})
	require.NoError(t, a.Restart(ctx, true))
	demote(t, a)
	_, err := rejoin(t, a, b, "a", nil)
	require.NoError(t, err)
	require.NoError(t, a.Node(0).WaitStreaming(ctx))
	require.NoError(t, a.WaitEqual(ctx, b))

	demote(t, b)
	require.NoError(t, a.Promote(ctx))
	_, err = rejoin(t, b, a, "b", nil)
	require.NoError(t, err)
	require.NoError(t, b.Node(0).WaitStreaming(ctx))
	require.NoError(t, b.WaitEqual(ctx, a))
}

// A former primary that is killed when all is kept, and before it follows, has changed nothing
// else. The next attempt finds what was kept.
func TestKeepingThatIsCut(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	a, b, _ := split(t, withBoth(t))
	takesOwnWrites(t, a, b)
	for n := range 200 {
		put(t, a, fmt.Sprintf("secret/large-%d", n), map[string]any{"v": strings.Repeat("x", 20_000)})
	}
	demote(t, a)
	offset, err := a.Node(0).LogSize()
	require.NoError(t, err)
	ended := make(chan struct{})
	token, err := b.ActivationToken(ctx, "a-cut")
	require.NoError(t, err)
	operation, err := a.OperationToken()
	require.NoError(t, err)
	asking := once(t, a, "").Logical()
	go func() {
		defer close(ended)
		_, _ = asking.WriteWithContext(ctx, cluster.PathUpdatePrimary, map[string]any{"dr_operation_token": operation,
			"token": token, "ca_file": b.GetCACertPEMFile(), "keep_own_writes": true})
	}()
	require.NoError(t, a.Node(0).WaitLog(ctx, offset, "kept values that this former primary has"))
	require.NoError(t, a.Restart(ctx, false))
	<-ended

	_, err = rejoin(t, a, b, "a", map[string]any{"keep_own_writes": true})
	require.NoError(t, err)
	require.NoError(t, a.Node(0).WaitStreaming(ctx))
	require.NoError(t, a.WaitEqual(ctx, b))
	operation, err = a.OperationToken()
	require.NoError(t, err)
	o := newOperator(t, a, "VAULT_DR_OPERATION_TOKEN="+operation)
	list := strings.Split(strings.TrimSpace(keptOf(t, o, "list")), "\n")
	require.Len(t, list, 2, list)
	require.Contains(t, list[1], "206")
	id := strings.Fields(list[1])[0]
	read := keptOf(t, o, "read", "-id="+id)
	require.Equal(t, 200, strings.Count(read, strings.Repeat("x", 20_000)))

	// It opens what it has kept with whatever keys it has.
	require.NoError(t, b.Rekey(ctx, 1, 1))
	_, err = b.Node(0).APIClient().Logical().WriteWithContext(ctx, "sys/rotate", nil)
	require.NoError(t, err)
	require.NoError(t, a.TakeShares(ctx, b, testcluster.GenerateRootDR))
	require.NoError(t, a.WaitEqual(ctx, b))
	require.NoError(t, a.Restart(ctx, false))
	operation, err = a.OperationToken()
	require.NoError(t, err)
	require.Equal(t, read, keptOf(t, newOperator(t, a, "VAULT_DR_OPERATION_TOKEN="+operation), "read", "-id="+id))
}

// An old primary that was disabled has written what no journal has: all that it has is kept
// when it is enabled as a secondary of the set, under the new primary's keys.
func TestADisabledPrimaryThatIsEnabledAsASecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	a, b, _ := split(t, withBoth(t))
	takesOwnWrites(t, a, b)
	put(t, a, cluster.PathPrimaryDisable, nil)
	require.NoError(t, a.Node(0).WaitRole(ctx, "disabled"))
	put(t, a, "secret/after", map[string]any{"v": "after"})
	enable := func(id string, keep bool) error {
		token, err := b.ActivationToken(ctx, id)
		require.NoError(t, err)
		_, err = once(t, a, a.GetRootToken()).Logical().WriteWithContext(ctx, cluster.PathSecondaryEnable,
			map[string]any{"token": token, "ca_file": b.GetCACertPEMFile(), "keep_own_writes": keep})
		return err
	}
	require.ErrorContains(t, enable("a-1", false), "has written at least 6 values that the new primary does not have, in "+
		"secret/ (5), sys/policies/acl/ (1); how many more is not known, because it was written to after replication was "+
		"disabled: nothing was changed")
	eventually(t, a, "secret/after", "v", "after")
	require.NoError(t, b.Rekey(ctx, 1, 1))
	require.NoError(t, enable("a-2", true))
	a.Adopt(b)
	require.NoError(t, a.Node(0).WaitRole(ctx, "secondary"))
	require.NoError(t, a.Node(0).WaitStreaming(ctx))
	require.NoError(t, a.WaitEqual(ctx, b))
	operation, err := a.OperationToken()
	require.NoError(t, err)
	o := newOperator(t, a, "VAULT_DR_OPERATION_TOKEN="+operation)
	list := strings.Split(strings.TrimSpace(keptOf(t, o, "list")), "\n")
	require.Len(t, list, 2, list)
	require.Contains(t, list[1], ", all that it had")
	read := keptOf(t, o, "read", "-id="+strings.Fields(list[1])[0])
	for _, want := range []string{`{"v":"of a"}`, `{"v":"after"}`, `{"v":"2"}`} {
		require.Contains(t, read, want)
	}
}
