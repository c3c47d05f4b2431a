// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A secondary behind a load balancer may not be allowed to reach anything else.
func TestOnlyTheGivenAddressIsUsed(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		const balancer, other, second = "https://lb.test:8201", "https://a2.test:8201", "https://lb2.test:8201"
		p := newCluster(t, n, "a", primaryAddr)
		p.host.ListenOn(primaryAddr, other, balancer, second)
		p.host.SetAddresses(primaryAddr, other)
		tr, err := p.engine.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: balancer})
		require.NoError(t, err)
		p.carryOut(tr, epoch(1, "one"))
		standIn(t, n, p)
		unused := func() {
			t.Helper()
			for _, a := range []string{primaryAddr, other, standInAddr} {
				require.Zero(t, n.Dials(a), "%s was not given", a)
			}
		}

		s := newCluster(t, n, "b", secondaryAddr)
		s.onlyGiven = true
		s.start.OnlyGiven = true
		s.restart()
		s.join(p.token("sec"), "sec")
		awaitEqual(t, p, s)
		// What it learns is kept: it asks all of them before it is promoted.
		require.Equal(t, []string{balancer, primaryAddr, other}, s.status().KnownPrimaryClusterAddrs)

		// The way through the balancer is lost, and so is the primary.
		p.host.ListenOn(primaryAddr, other, second)
		p.restart()
		<-time.After(time.Minute)
		synctest.Wait()
		require.Equal(t, replication.Idle, s.status().State)
		unused()
		s.restart()
		<-time.After(time.Minute)
		unused()

		// All addresses of update-primary are given.
		tr, err = s.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{Addrs: []string{second, balancer}})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		awaitEqual(t, p, s)
		p.host.ListenOn(primaryAddr, other, balancer)
		p.restart()
		p.host.Write("later", "x")
		awaitEqual(t, p, s)
		unused()

		// A token for a primary that is not there by the given address joins nothing.
		p.host.ListenOn(primaryAddr, other)
		p.restart()
		c := newCluster(t, n, "c", "https://c.test:8201")
		c.start.OnlyGiven = true
		c.restart()
		_, err = c.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: p.token("c"), ID: "c",
			Challenge: []byte("challenge")})
		require.Equal(t, replication.Unreachable, replication.KindOf(err), "%v", err)
		unused()

		// Without the setting the addresses that were learnt are used again.
		s.onlyGiven, s.start.OnlyGiven = false, false
		s.restart()
		awaitEqual(t, p, s)
	})
}
