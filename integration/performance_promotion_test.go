// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

const pathPromote = cluster.PathPerformance + "secondary/promote"

// once is a client whose answers are the server's first ones.
func once(t *testing.T, c *cluster.Cluster, token string) *api.Client {
	t.Helper()
	client := c.Node(0).Anonymous()
	client.SetToken(token)
	client.SetMaxRetries(0)
	return client
}

// loggedIn is a client with a token that a cluster gave to a user of the load.
func loggedIn(t *testing.T, c *cluster.Cluster, user string) *api.Client {
	t.Helper()
	client := once(t, c, "")
	secret := write(t, client, "auth/userpass/login/"+user, map[string]any{"password": load.Password})
	require.NotEmpty(t, secret.Auth.EntityID)
	client.SetToken(secret.Auth.ClientToken)
	return client
}

// promoteCutOff promotes a performance secondary without force, once it has noticed
// that its primary is gone.
func promoteCutOff(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	cluster.Eventually(t, limit, "the performance secondary is promoted", func(ctx context.Context) error {
		_, err := once(t, c, c.GetRootToken()).Logical().WriteWithContext(ctx, pathPromote, nil)
		var refused *api.ResponseError
		if errors.As(err, &refused) && refused.StatusCode != http.StatusServiceUnavailable {
			return cluster.Final(err)
		}
		return err
	})
	require.NoError(t, c.Node(0).WaitPerformanceRole(t.Context(), "primary"))
}

// follow lets a cluster that was demoted follow another performance primary.
func follow(t *testing.T, c, primary *cluster.Cluster, id string) {
	t.Helper()
	put(t, c, pathUpdate, joining(t, primary, id))
	require.NoError(t, c.Node(0).WaitPerformanceStreaming(t.Context()))
}

const pathUpdate = cluster.PathPerformance + "secondary/update-primary"

// joining are the parameters with which a secondary is to follow a performance primary.
func joining(t *testing.T, primary *cluster.Cluster, id string) map[string]any {
	t.Helper()
	token := put(t, primary, cluster.PathPerformance+"primary/secondary-token", map[string]any{"id": id})
	return map[string]any{"token": token.WrapInfo.Token, "ca_file": primary.GetCACertPEMFile()}
}

// followKeeping lets a former performance primary follow another, which has not all that it
// has written: once refused in a sentence, then with that kept.
func followKeeping(t *testing.T, c, primary *cluster.Cluster, id, refused string) {
	t.Helper()
	answer := refusal(t, once(t, c, c.GetRootToken()), http.MethodPut, pathUpdate, joining(t, primary, id+"-refused"))
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	require.Regexp(t, refused, strings.Join(answer.Errors, "; "))
	params := joining(t, primary, id)
	params["keep_own_writes"] = true
	require.Contains(t, strings.Join(put(t, c, pathUpdate, params).Warnings, "\n"), "that the new primary does not have")
	require.NoError(t, c.Node(0).WaitPerformanceStreaming(t.Context()))
}

// absent waits until there is nothing to read.
func absent(t *testing.T, c *cluster.Cluster, path string) {
	t.Helper()
	cluster.Eventually(t, limit, path+" is not there", func(ctx context.Context) error {
		secret, err := client(c).ReadWithContext(ctx, path)
		if err == nil && secret != nil {
			err = fmt.Errorf("it is %v", secret.Data)
		}
		return err
	})
}

// A performance primary dies under load and its secondary takes over: with all that
// the dead one had acknowledged and the secondary had applied, without the dead one's
// tokens, and with its own tokens and leases. The dead one comes back, is demoted
// and follows.
func TestPerformanceSecondaryTakesOver(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	database := postgres.New(t)
	old, heir := performancePair(t)
	require.NoError(t, load.PrepareClients(ctx, old.Node(0).APIClient(), 2, load.Database{
		URL: database.URL(), Admin: database.Admin, Password: database.Password,
	}))
	require.NoError(t, heir.WaitCaughtUp(ctx, old))
	there, here := loggedIn(t, old, "user-0"), loggedIn(t, heir, "user-0")
	leased, err := here.Logical().ReadWithContext(ctx, "db/creds/load")
	require.NoError(t, err)
	works := func(lease *api.Secret) {
		t.Helper()
		_, err := database.Query(ctx, fmt.Sprint(lease.Data["username"]), fmt.Sprint(lease.Data["password"]), "select 1")
		require.NoError(t, err)
	}
	works(leased)

	writers := load.Start(ctx, old.Node(0).APIClient, 8)
	cluster.Eventually(t, limit, "the writers are under way", func(context.Context) error {
		if n, _ := writers.Acknowledged(); n < 500 {
			return fmt.Errorf("%d writes so far", n)
		}
		return nil
	})
	_, applied := writers.Acknowledged()
	require.NoError(t, heir.WaitCaughtUp(ctx, old))
	require.NoError(t, old.Stop(ctx, false))
	journal := writers.Stop()
	require.NoError(t, heir.Node(0).WaitPerformance(ctx, "is cut off", func(s *cluster.PerformanceStatus) error {
		if s.State != "idle" {
			return fmt.Errorf("it is %s", s.State)
		}
		return nil
	}))
	before, err := load.Read(ctx, heir.Node(0).APIClient())
	require.NoError(t, err)

	promoteCutOff(t, heir)
	after, err := load.Read(ctx, heir.Node(0).APIClient())
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, load.Check(journal, after, applied))

	for _, token := range []string{old.GetRootToken(), there.Token()} {
		refused := refusal(t, once(t, heir, token), http.MethodGet, "auth/token/lookup-self", nil)
		require.Equal(t, http.StatusForbidden, refused.StatusCode)
	}
	// The second user has never logged in: the promoted cluster makes the entity itself.
	for _, user := range []string{"user-0", "user-1"} {
		write(t, loggedIn(t, heir, user), "load/by-"+user, map[string]any{"v": "new primary"})
	}
	_, err = here.Auth().Token().RenewSelfWithContext(ctx, 0)
	require.NoError(t, err)
	renewed, err := here.Sys().RenewWithContext(ctx, leased.LeaseID, 0)
	require.NoError(t, err)
	require.Equal(t, leased.LeaseID, renewed.LeaseID)
	works(leased)

	// What the old primary acknowledges now is nobody's.
	require.NoError(t, old.Restart(ctx, false))
	require.NoError(t, old.Node(0).WaitPerformanceRole(ctx, "primary"))
	put(t, old, "load/late", map[string]any{"v": "lost"})
	put(t, old, cluster.PathPerformance+"primary/demote", nil)
	require.NoError(t, old.Node(0).WaitPerformanceRole(ctx, "secondary"))
	followKeeping(t, old, heir, "former", `has written \d+ values? that the new primary does not have, in .*load/ `)
	absent(t, old, "load/late")
	absent(t, heir, "load/late")
	followed, err := load.Read(ctx, old.Node(0).APIClient())
	require.NoError(t, err)
	require.Equal(t, after, followed)
	// Its own tokens have gone on with it, and what they write goes to the new primary.
	_, err = there.Auth().Token().LookupSelfWithContext(ctx)
	require.NoError(t, err)
	write(t, there, "load/again", map[string]any{"v": "forwarded"})
	eventually(t, heir, "load/again", "v", "forwarded")
}

// Nobody becomes a second primary unasked; and two that were made are never merged,
// whatever becomes of their processes, until one of them is demoted.
func TestPerformancePromotionBesideALivePrimary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	a, b := performancePair(t)
	mounted(t, a, b, "kv")
	put(t, a, "kv/a", map[string]any{"v": "common"})
	eventually(t, b, "kv/a", "v", "common")

	refused := refusal(t, once(t, b, b.GetRootToken()), http.MethodPut, pathPromote, nil)
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	require.Equal(t, []string{"the primary works at " + a.Node(0).ClusterAddress() +
		", and a set has one primary: demote it first (primary/demote), or use force if that cannot be done"}, refused.Errors)
	require.NoError(t, b.Node(0).WaitPerformanceStreaming(ctx))
	put(t, b, "kv/a", map[string]any{"v": "forwarded"})
	eventually(t, a, "kv/a", "v", "forwarded")

	forced := put(t, b, pathPromote, map[string]any{"force": true})
	require.Contains(t, strings.Join(forced.Warnings, "\n"), "there are two now")
	require.NoError(t, b.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, a.Node(0).WaitPerformanceRole(ctx, "primary"))
	apart := func() {
		t.Helper()
		for name, c := range map[string]*cluster.Cluster{"a": a, "b": b} {
			eventually(t, c, "kv/a", "v", name)
			eventually(t, c, "kv/"+name, "v", name)
			status, err := c.Node(0).PerformanceStatus(ctx)
			require.NoError(t, err)
			for _, s := range status.Secondaries {
				require.Equal(t, "disconnected", s.ConnectionStatus, "%s has a secondary", name)
			}
		}
		absent(t, a, "kv/b")
		absent(t, b, "kv/late")
	}
	put(t, a, "kv/a", map[string]any{"v": "a"})
	put(t, b, "kv/a", map[string]any{"v": "b"})
	put(t, b, "kv/b", map[string]any{"v": "b"})
	apart()
	require.NoError(t, a.Restart(ctx, false))
	require.NoError(t, b.Restart(ctx, false))
	require.NoError(t, a.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, b.Node(0).WaitPerformanceRole(ctx, "primary"))
	put(t, a, "kv/late", map[string]any{"v": "a"})
	apart()

	put(t, a, cluster.PathPerformance+"primary/demote", nil)
	require.NoError(t, a.Node(0).WaitPerformanceRole(ctx, "secondary"))
	followKeeping(t, a, b, "a", `has written 2 values that the new primary does not have, in kv/ \(2\): nothing was changed`)
	eventually(t, a, "kv/a", "v", "b")
	eventually(t, a, "kv/b", "v", "b")
	absent(t, a, "kv/late")
}

// A DR secondary that was promoted beside its primary, as in a drill, gets none of the
// primary's performance secondaries, not even in an outage of the primary, until one
// is told to go there.
func TestDrillTakesNoPerformanceSecondaries(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	us, eu := performancePair(t)
	drill := cluster.New(t, cluster.Options{Name: "drill", Binary: product(t), CA: us.Options().CA})
	mounted(t, us, eu, "kv")
	put(t, us, "kv/a", map[string]any{"v": "us"})
	require.NoError(t, us.EnableDRPrimary(ctx))
	require.NoError(t, drill.JoinDR(ctx, us))
	require.NoError(t, drill.WaitEqual(ctx, us))
	require.NoError(t, eu.Node(0).WaitPerformance(ctx, "knows who may take the primary's place",
		func(s *cluster.PerformanceStatus) error {
			if len(s.KnownFailover) == 0 {
				return errors.New("it knows nobody")
			}
			return nil
		}))
	token, err := testcluster.GenerateRoot(drill, testcluster.GenerateRootDR)
	require.NoError(t, err)
	promoted, err := drill.Node(0).Anonymous().Logical().WriteWithContext(ctx, cluster.PathSecondaryPromote,
		map[string]any{"dr_operation_token": token, "force": true})
	require.NoError(t, err)
	require.Contains(t, strings.Join(promoted.Warnings, "\n"), "there are two now")
	require.NoError(t, drill.Node(0).WaitPerformanceRole(ctx, "primary"))
	put(t, drill, "kv/a", map[string]any{"v": "drill"})

	require.NoError(t, us.Stop(ctx, false))
	require.NoError(t, eu.Node(0).WaitPerformance(ctx, "is refused", func(s *cluster.PerformanceStatus) error {
		if s.State != "idle" || !strings.Contains(s.LastError, "refuses this secondary: this cluster was promoted while "+
			"its primary was connected") {
			return fmt.Errorf("it says %q", s.LastError)
		}
		return nil
	}))
	// It stays so over a restart of either.
	require.NoError(t, drill.Restart(ctx, false))
	require.NoError(t, drill.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, us.Restart(ctx, false))
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, eu, "kv/a", "v", "us")

	put(t, eu, cluster.PathPerformance+"secondary/update-primary",
		map[string]any{"update_primary_addrs": drill.Node(0).ClusterAddress()})
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, eu, "kv/a", "v", "drill")
}
