// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/lookout"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// update carries an update-primary out.
func (c *cluster) update(req replication.UpdatePrimaryRequest) {
	tr, err := c.engine.UpdatePrimary(c.t.Context(), req)
	require.NoError(c.t, err)
	c.carryOut(tr, replication.Epoch{})
}

// resets are the ways in which a session of a living primary ends and begins again.
var resets = map[string]func(t *testing.T, n *network, p, s *cluster){
	"addresses": func(_ *testing.T, _ *network, _, s *cluster) {
		s.update(replication.UpdatePrimaryRequest{Addrs: []string{primaryAddr}})
	},
	"a token": func(_ *testing.T, _ *network, p, s *cluster) {
		s.update(replication.UpdatePrimaryRequest{Bundle: p.token("anew"), ID: "anew"})
	},
	"nothing": func(_ *testing.T, _ *network, _,
		s *cluster) {
		s.update(replication.UpdatePrimaryRequest{})
	},
	"recover": func(t *testing.T, _ *network, _,
		s *cluster) {
		require.NoError(t, s.engine.Recover(t.Context()))
	},
	"recover of the primary": func(t *testing.T, _ *network, p,
		_ *cluster) {
		require.NoError(t, p.engine.Recover(t.Context()))
	},
	"kill":                func(_ *testing.T, _ *network, _, s *cluster) { s.restart() },
	"kill of the primary": func(t *testing.T, _ *network, p, _ *cluster) { p.awayFor(t, 2*time.Second) },
	"cut":                 func(_ *testing.T, n *network, _, _ *cluster) { n.Break(primaryAddr) },
	"silence":             func(_ *testing.T, n *network, _, _ *cluster) { n.Freeze(primaryAddr) },
	"step-down of the primary, whose API cannot be reached": func(t *testing.T, n *network, p, _ *cluster) {
		n.Stand(primaryAddr)
		p.host.HideAPI(true)
		p.awayFor(t, 11*time.Second)
	},
	"a port that is closed for good": func(t *testing.T, _ *network, p, _ *cluster) {
		require.NoError(t, p.engine.Stop(t.Context()))
	},
}

// awayFor stops a cluster's engine and starts it again after a while.
func (c *cluster) awayFor(t *testing.T, d time.Duration) {
	require.NoError(t, c.engine.Stop(t.Context()))
	back := time.AfterFunc(d, func() { _ = c.engine.Start(context.Background(), c.start) })
	t.Cleanup(func() { back.Stop() })
}

// A set has one primary unless force was given: a gap between two sessions does not mean that the primary is dead.
func TestNoSecondPrimaryBetweenTwoSessions(t *testing.T) {
	for name, reset := range resets {
		for _, after := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
			t.Run(name+" "+after.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T, n *network) {
					p, s := pair(t, n)
					awaitEqual(t, p, s)
					reset(t, n, p, s)
					<-time.After(after)
					begun := time.Now()
					_, err := s.promote(false)
					requireKind(t, replication.Unavailable, err, "")
					require.NotContains(t, err.Error(), catchingUp)
					require.LessOrEqual(t, time.Since(begun), lookout.Patience)
					tr, err := s.promote(true)
					require.NoError(t, err)
					require.True(t, tr.Contested)

					// Then it really dies.
					n.Silence(primaryAddr)
					p.die()
					begun = time.Now()
					tr, err = s.promote(false)
					require.NoError(t, err)
					require.False(t, tr.Contested)
					require.LessOrEqual(t, time.Since(begun), 2*lookout.Quiet)
					// What was silenced in a handshake ends by its own time.
					<-time.After(15 * time.Second)
				})
			})
		}
	}
}

// A promotion waits neither for a primary that has been gone for long nor for a demoted one, whatever else can be
// reached.
func TestPromotionDoesNotWaitForWhatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		require.NoError(t, s.engine.Stop(t.Context()))
		s.restart()
		awaitEqual(t, p, s)
		p.die()
		<-time.After(lookout.Quiet)
		begun := time.Now()
		_, err := s.promote(false)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), time.Second)
	})
}

func TestPromotionAfterADemotionDoesNotWait(t *testing.T) {
	for name, reachable := range map[string]bool{"with its API": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p, s := pair(t, n)
				awaitEqual(t, p, s)
				n.Stand(primaryAddr)
				p.host.HideAPI(!reachable)
				tr, err := p.engine.DemotePrimary(t.Context())
				require.NoError(t, err)
				// The answer comes before the change of role.
				promoted := make(chan error, 1)
				begun := time.Now()
				go func() { _, err := s.promote(false); promoted <- err }()
				<-time.After(500 * time.Millisecond)
				synctest.Wait()
				p.carryOut(tr, replication.Epoch{})
				require.NoError(t, <-promoted)
				require.Less(t, time.Since(begun), lookout.Quiet)
				s.awaitError("the primary was demoted")
				s.restart()
				begun = time.Now()
				tr, err = s.promote(false)
				require.NoError(t, err)
				require.Less(t, time.Since(begun), time.Second)
				s.carryOut(tr, epoch(2, "two"))

				// The old primary is not promoted beside the new one, only in its place.
				_, err = p.promote(false)
				if reachable {
					requireKind(t, replication.Unavailable, err, "the primary works at https://b.test:8200")
				}
				s.die()
				_, err = p.promote(false)
				require.NoError(t, err)
			})
		})
	}
}

// A secondary that was away during the demotion asks the primary's API. If it cannot reach the API, it does not guess.
func TestPromotionAfterADemotionThatWasNotHeard(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		n.Stand(primaryAddr)
		require.NoError(t, s.engine.Stop(t.Context()))
		tr, err := p.engine.DemotePrimary(t.Context())
		require.NoError(t, err)
		p.carryOut(tr, replication.Epoch{})
		s.restart()
		p.host.HideAPI(true)
		_, err = s.promote(false)
		requireKind(t, replication.Unavailable, err, "does not say whether it is the primary still")
		forced, err := s.promote(true)
		require.NoError(t, err)
		require.True(t, forced.Contested)
		require.Contains(t, strings.Join(forced.Warnings, " "), "does not say whether")
		p.host.HideAPI(false)
		begun := time.Now()
		tr, err = s.promote(false)
		require.NoError(t, err)
		require.False(t, tr.Contested)
		require.Less(t, time.Since(begun), lookout.Quiet)
	})
}

// Of two secondaries of a primary that was demoted, one is promoted.
func TestTheSecondSecondaryIsNotPromotedBesideTheFirst(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		other := newCluster(t, n, "c", "https://c.test:8201")
		other.join(p.token("other"), "other")
		awaitEqual(t, p, s)
		awaitEqual(t, p, other)
		<-time.After(5 * time.Second)
		tr, err := p.engine.DemotePrimary(t.Context())
		require.NoError(t, err)
		p.carryOut(tr, replication.Epoch{})
		tr, err = s.promote(false)
		require.NoError(t, err)
		s.carryOut(tr, epoch(2, "two"))
		_, err = other.promote(false)
		requireKind(t, replication.Unavailable, err, "the primary works at https://b.test:8200")
		s.die()
		_, err = other.promote(false)
		require.NoError(t, err)
	})
}

// The address of the primary's API may now belong to another secondary, whose role says nothing about the primary.
func TestAnotherSecondaryIsNoWitness(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.SetRole(replication.RoleAtAnswer{Role: replication.Secondary, ClusterID: p.start.ClusterID,
			SecondaryID: "other"})
		p.awayFor(t, 2*time.Second)
		_, err := s.promote(false)
		requireKind(t, replication.Unavailable, err, "the primary works at "+primaryAddr)
	})
}
