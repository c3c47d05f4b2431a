// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const catchingUp = "replication is still catching up, try again later or provide the 'force' argument"

func (c *cluster) promote(force bool) (*replication.Transition, error) {
	return c.engine.PromoteSecondary(c.t.Context(), replication.PromoteSecondaryRequest{Force: force})
}

func TestJoinChangesNothingBeforeTheHostDoes(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p := newCluster(t, n, "a", primaryAddr)
		p.enablePrimary(epoch(1, "one"))
		s := newCluster(t, n, "b", secondaryAddr)
		bundle := p.token("sec")
		tr, err := s.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "sec",
			Challenge: []byte("c")})
		require.NoError(t, err)
		require.Equal(t, "sealed for sec by c", string(tr.Handover.Sealed))
		require.Equal(t, replication.Secondary, tr.Role)
		require.Equal(t, p.start.ClusterID, tr.ClusterID)
		require.True(t, tr.ClearState)
		require.Empty(t, s.host.State())
		require.Empty(t, p.host.Slots())
		p.host.Fail("SealHandover", replication.Errorf(replication.Unavailable, "the primary is sealed"))
		_, err = s.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "sec"})
		requireKind(t, replication.Unavailable, err, "is sealed")
		require.NoError(t, p.engine.Stop(t.Context()))
		_, err = s.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: "sec"})
		requireKind(t, replication.Unreachable, err, "cannot be reached at "+primaryAddr)
	})
}

// A secondary asks its present primary for the handover once more. Nothing else changes.
func TestHandoverAnew(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		before := s.host.State()
		anew := func(c *cluster) (*replication.Transition, error) {
			return c.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Challenge: []byte("again")})
		}
		tr, err := anew(s)
		require.NoError(t, err)
		require.Equal(t, &replication.Transition{
			Role: replication.Secondary, ClusterID: p.start.ClusterID,
			Handover: &replication.Handover{Sealed: []byte("sealed for sec by again")},
		}, tr)
		require.Equal(t, before, s.host.State())
		require.Equal(t, replication.StreamWALs, s.status().State, "the session goes on")
		_, err = anew(p)
		requireKind(t, replication.InvalidInput, err, "not a "+string(n.mode)+" secondary")
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}))
		_, err = anew(s)
		requireKind(t, replication.Denied, err, "revoked")
		require.NoError(t, p.engine.Stop(t.Context()))
		_, err = anew(s)
		requireKind(t, replication.Unreachable, err, "cannot be reached")
	})
}

func TestRolesThatDoNotFitAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		_, err := p.engine.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{})
		requireKind(t, replication.InvalidInput, err, "primary already")
		_, err = s.engine.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{})
		requireKind(t, replication.InvalidInput, err, "secondary already")
		_, err = s.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: p.token("other"),
			ID: "other"})
		requireKind(t, replication.InvalidInput, err, "secondary already")
		_, err = p.promote(true)
		requireKind(t, replication.InvalidInput, err, "not a "+string(n.mode)+" secondary")
		_, err = s.engine.DemotePrimary(t.Context())
		requireKind(t, replication.InvalidInput, err, "not a "+string(n.mode)+" primary")
		require.NoError(t, p.engine.Stop(t.Context()))
		_, err = p.engine.DemotePrimary(t.Context())
		requireKind(t, replication.Unavailable, err, "not running")
		requireKind(t, replication.Unavailable, p.engine.Recover(t.Context()), "not running")
	})
}

func TestPromotionWaitsUnlessForced(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		release := s.host.Hold()
		s.awaitState(replication.MerkleSync)
		_, err := s.promote(false)
		requireKind(t, replication.Unavailable, err, catchingUp)
		_, err = s.promote(true)
		require.NoError(t, err)
		release()
		awaitEqual(t, p, s)
		_, err = s.promote(false)
		requireKind(t, replication.Unavailable, err, "demote it first")
		tr, err := s.promote(true)
		require.NoError(t, err)
		require.True(t, tr.ClearState)
		require.Equal(t, p.start.ClusterID, tr.ClusterID)
		require.NotEqual(t, p.host.State()[trust.AuthorityKey], tr.PutState[trust.AuthorityKey], "a new authority")

		release = s.host.Hold()
		p.host.Write("not", "yet")
		<-time.After(5 * time.Second)
		synctest.Wait()
		_, err = s.promote(false)
		requireKind(t, replication.Unavailable, err, catchingUp)
		// The primary is dead: the secondary has all it can get.
		p.die()
		eventually(t, time.Minute, "cut off", func() bool { return s.status().State == replication.Idle })
		_, err = s.promote(false)
		require.NoError(t, err)
		release()
		// Cut off in between two positions of the primary.
		cursor, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		cursor.ConsistentFrom = cursor.Position.Sequence + 1
		s.host.SetCursor(*cursor)
		_, err = s.promote(false)
		requireKind(t, replication.Unavailable, err, catchingUp)
	})
}

func TestSwitchOverAndBack(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		eventually(t, time.Minute, "a heartbeat", func() bool { return s.status().LastError == "" })
		tr, err := p.engine.DemotePrimary(t.Context())
		require.NoError(t, err)
		p.carryOut(tr, replication.Epoch{})
		require.Empty(t, p.host.Slots(), "a former primary retains nothing")
		require.Len(t, p.host.State(), 1, "whom to ask before it is promoted again")
		require.Equal(t, replication.Idle, p.status().State)
		require.Contains(t, p.status().LastError, "has no primary")

		eventually(t, time.Minute, "cut off", func() bool { return s.status().State == replication.Idle })
		tr, err = s.promote(false)
		require.NoError(t, err)
		s.carryOut(tr, epoch(2, "two"))
		s.host.Write("of the new primary", "x")

		tr, err = p.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{Bundle: s.token("former"),
			ID: "former"})
		require.NoError(t, err)
		require.False(t, tr.ClearState)
		p.carryOut(tr, replication.Epoch{})
		awaitEqual(t, s, p)
		require.Equal(t, 1, p.host.Count("BeginCopy"))
	})
}

func TestDivergedClustersAreNeverMerged(t *testing.T) {
	for name, mine := range map[string]replication.Epoch{
		"both were promoted":      epoch(2, "mine"),
		"the secondary was newer": epoch(3, "mine"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p, s := pair(t, n)
				awaitEqual(t, p, s)
				require.NoError(t, s.engine.Stop(t.Context()))
				require.NoError(t, p.engine.Stop(t.Context()))
				p.host.SetEpoch(epoch(2, "theirs"))
				p.host.Write("theirs", "x")
				require.NoError(t, p.engine.Start(t.Context(), p.start))
				s.host.SetCursor(replication.Cursor{Position: replication.Position{Epoch: mine, Sequence: 5}})
				require.NoError(t, s.engine.Start(t.Context(), s.start))
				eventually(t, time.Minute, "refused", func() bool { return strings.Contains(s.status().LastError, "(epoch") })
				begun := p.host.Count("Position")
				<-time.After(10 * time.Minute)
				synctest.Wait()
				require.LessOrEqual(t, p.host.Count("Position")-begun, 21, "refusals are not a tight loop")
				require.NotContains(t, s.host.Content(), "theirs")
				require.Equal(t, replication.Idle, s.status().State)
				require.Equal(t, 1, s.host.Count("BeginCopy"))
			})
		})
	}
}

func TestNewEpochOfThePrimaryIsFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.SetEpoch(epoch(2, "restored"))
		p.host.Delete("key-00")
		awaitEqual(t, p, s)
		require.Equal(t, 2, s.host.Count("BeginCopy"))
	})
}

func TestSecondaryAheadOfARestoredPrimaryCopies(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		require.NoError(t, s.engine.Stop(t.Context()))
		cursor, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		cursor.Position.Sequence += 100
		s.host.SetCursor(*cursor)
		require.NoError(t, s.engine.Start(t.Context(), s.start))
		awaitEqual(t, p, s)
		require.Equal(t, 2, s.host.Count("BeginCopy"))
		require.Equal(t, p.host.Now(),
			func() replication.Position { c, _ := s.host.Cursor(t.Context()); return c.Position }())
	})
}

func TestAddressesAreLearntAndTried(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.SetAddresses(primaryAddr, "https://a2.test:8201", "not an address")
		eventually(t, time.Minute, "learnt", func() bool { return len(s.status().KnownPrimaryClusterAddrs) == 2 })
		// The other node takes over: nothing listens at the first any more.
		require.NoError(t, p.engine.Stop(t.Context()))
		p.host.ListenOn("https://a2.test:8201")
		s.restart()
		require.NoError(t, p.engine.Start(t.Context(), p.start))
		awaitEqual(t, p, s)
		require.Equal(t, "https://a2.test:8201", s.status().PrimaryClusterAddr)
	})
}

// A node whose machine is gone does not answer. It delays the other addresses only for a moment.
func TestSilentAddressDoesNotHoldUpTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		const other, third = "https://a2.test:8201", "https://a3.test:8201"
		p.host.SetAddresses(primaryAddr, other, third)
		eventually(t, time.Minute, "learnt", func() bool { return len(s.status().KnownPrimaryClusterAddrs) == 3 })
		awaitEqual(t, p, s)

		p.host.ListenOn(third)
		gone := time.Now()
		n.Silence(primaryAddr)
		n.Silence(other)
		require.NoError(t, p.engine.Stop(t.Context()))
		require.NoError(t, p.engine.Start(t.Context(), p.start))
		p.host.Write("after", "x")
		awaitEqual(t, p, s)
		require.Equal(t, third, s.status().PrimaryClusterAddr)
		require.Less(t, time.Since(gone), 16*time.Second, "ten until the link is lost, two for each that is silent")
		require.Equal(t, 1, s.host.Count("BeginCopy"))
	})
}

func TestUpdatePrimary(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		update := func(req replication.UpdatePrimaryRequest) (*replication.Transition, error) {
			return s.engine.UpdatePrimary(t.Context(), req)
		}
		other := newCluster(t, n, "c", "https://c.test:8201")
		other.enablePrimary(epoch(1, "other"))
		_, err := update(replication.UpdatePrimaryRequest{Bundle: other.token("sec"), ID: "sec"})
		requireKind(t, replication.InvalidInput, err, "another replication set")
		_, err = update(replication.UpdatePrimaryRequest{Bundle: p.token("x"), Addrs: []string{primaryAddr}})
		requireKind(t, replication.InvalidInput, err, "not both")
		_, err = update(replication.UpdatePrimaryRequest{Addrs: []string{"https://gone.test:8201"}})
		requireKind(t, replication.Unreachable, err, "at none of the addresses")
		_, err = update(replication.UpdatePrimaryRequest{Addrs: []string{"http://a"}})
		requireKind(t, replication.InvalidInput, err, "not a cluster address")

		tr, err := update(replication.UpdatePrimaryRequest{Addrs: []string{"https://gone.test:8201", primaryAddr}})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		awaitEqual(t, p, s)
		require.Equal(t, primaryAddr, s.status().PrimaryClusterAddr)

		tr, err = update(replication.UpdatePrimaryRequest{})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		require.Equal(t, replication.ConnIdle, s.status().ConnectionState)
		dials := n.Dials(primaryAddr)
		<-time.After(10 * time.Minute)
		require.Equal(t, dials, n.Dials(primaryAddr))
		_, err = update(replication.UpdatePrimaryRequest{Addrs: []string{primaryAddr}})
		requireKind(t, replication.InvalidInput, err, "no credentials")
	})
}

// Before a host follows another primary, it gets a proof from the host of that primary.
func TestUpdatePrimaryBringsAProof(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		update := replication.UpdatePrimaryRequest{Bundle: p.token("anew"), ID: "anew", Challenge: []byte("prove it")}
		tr, err := s.engine.UpdatePrimary(t.Context(), update)
		require.NoError(t, err)
		require.Equal(t, "sealed for anew by prove it", string(tr.Handover.Sealed))
		require.Equal(t, replication.StreamWALs, s.status().State, "nothing is changed before the host does")
		p.host.Fail("SealHandover", replication.Errorf(replication.Denied, "no"))
		_, err = s.engine.UpdatePrimary(t.Context(), update)
		requireKind(t, replication.Denied, err, "no")
		require.NoError(t, p.engine.Stop(t.Context()))
		_, err = s.engine.UpdatePrimary(t.Context(), update)
		requireKind(t, replication.Unreachable, err, "cannot be reached")
	})
}

func TestPrimaryClusterAddrIsHandedOutFirst(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p := newCluster(t, n, "a", primaryAddr)
		_, err := p.engine.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "nonsense"})
		requireKind(t, replication.InvalidInput, err, "not a cluster address")
		tr, err := p.engine.EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "lb.test:443"})
		require.NoError(t, err)
		p.carryOut(tr, epoch(1, "one"))
		b, err := trust.DecodeBundle(p.token("sec"), time.Now())
		require.NoError(t, err)
		require.Equal(t, []string{"lb.test:443", primaryAddr}, b.Addresses)
		require.Equal(t, "lb.test:443", p.status().PrimaryClusterAddr)
	})
}

func TestStartWithoutRecordsSaysWhy(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p := newCluster(t, n, "a", primaryAddr)
		err := p.engine.Start(t.Context(), replication.StartRequest{Role: replication.Primary, ClusterID: "x"})
		requireKind(t, replication.Internal, err, "no record of its certificate authority")
		require.Equal(t, err.Error(), p.status().LastError)
		p.host.Fail("GetState", replication.Errorf(replication.Unavailable, "the node is a standby"))
		err = p.engine.Start(t.Context(), replication.StartRequest{Role: replication.Secondary, ClusterID: "x"})
		requireKind(t, replication.Unavailable, err, "standby")
	})
}
