// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/primary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const standInAddr = "https://d.test:8201"

// standIn is a DR secondary of the primary: it has the primary's records and does
// nothing before it is promoted.
func standIn(t *testing.T, n *network, p *cluster) *cluster {
	d := newCluster(t, n, "d", standInAddr)
	p.host.SetFailover([]string{standInAddr})
	return d
}

// takeOver is the promotion of a stand-in.
func (c *cluster) takeOver(from *cluster, e replication.Epoch, contested bool) {
	c.host.Inherit(from.host, e)
	c.start = replication.StartRequest{Role: replication.Primary, ClusterID: from.start.ClusterID, Contested: contested}
	c.restart()
}

func (c *cluster) awaitError(part string) {
	c.t.Helper()
	eventually(c.t, time.Minute, "last error: "+part, func() bool { return strings.Contains(c.status().LastError, part) })
}

func (c *cluster) awaitFailover(addrs ...string) {
	c.t.Helper()
	eventually(c.t, time.Minute, "failover addresses", func() bool {
		return strings.Join(c.status().FailoverAddrs, " ") == strings.Join(addrs, " ")
	})
}

func TestFailoverAddressesAreLearnt(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		require.Empty(t, s.status().FailoverAddrs)
		p.host.SetFailover([]string{standInAddr, "not an address", "https://e.test:8201"})
		s.awaitFailover(standInAddr, "https://e.test:8201")
		// An unknown list is not an empty one.
		p.host.SetFailover(nil)
		<-time.After(time.Minute)
		s.restart()
		s.awaitFailover(standInAddr, "https://e.test:8201")
		require.Zero(t, n.Dials(standInAddr), "the primary is there")
		p.host.SetFailover([]string{})
		s.awaitFailover()
	})
}

func TestSecondaryFollowsTheClusterThatTookOver(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		d := standIn(t, n, p)
		awaitEqual(t, p, s)
		s.awaitFailover(standInAddr)

		require.NoError(t, p.engine.Stop(t.Context()))
		s.awaitError("its DR secondary at " + standInAddr + " cannot be reached either")
		// It answers, as any node of a cluster without the role does.
		stranger := newCluster(t, n, "x", standInAddr)
		stranger.enablePrimary(epoch(7, "stranger"))
		s.awaitError("its DR secondary at " + standInAddr + " has not taken its place: promote that one")
		require.Equal(t, replication.Idle, s.status().State)
		require.Equal(t, 1, s.host.Count("BeginCopy"))
		require.NoError(t, stranger.engine.Stop(t.Context()))

		d.takeOver(p, epoch(2, "two"), false)
		d.host.Write("of the new primary", "x")
		awaitEqual(t, d, s)
		require.Equal(t, 2, s.host.Count("BeginCopy"))
		require.Equal(t, standInAddr, s.status().PrimaryClusterAddr)
		eventually(t, time.Minute, "no error is left", func() bool { return s.status().LastError == "" })

		// The old primary comes back as a primary. No secondary connects to it, whatever happens to the link and to either
		// process.
		require.NoError(t, p.engine.Start(t.Context(), p.start))
		p.host.Write("of the old primary", "lost")
		dials := n.Dials(primaryAddr)
		require.NoError(t, d.engine.Stop(t.Context()))
		<-time.After(time.Minute)
		require.NoError(t, d.engine.Start(t.Context(), d.start))
		s.restart()
		awaitEqual(t, d, s)
		require.Equal(t, dials, n.Dials(primaryAddr))
		require.NotContains(t, s.host.Content(), "of the old primary")
		require.Equal(t, 2, s.host.Count("BeginCopy"), "it goes on where it was")

		// A lost primary that is reached another way is refused because of its epoch.
		tr, err := s.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{Addrs: []string{primaryAddr}})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		s.awaitError("newer primary")
		require.NotContains(t, s.host.Content(), "of the old primary")
	})
}

// The primary dies during a first copy. The copy goes on with the cluster that took over.
func TestFirstCopyGoesOnWithTheClusterThatTookOver(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p := newCluster(t, n, "a", primaryAddr)
		p.enablePrimary(epoch(1, "one"))
		d := standIn(t, n, p)
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			p.host.Write(key, "x")
		}
		s := newCluster(t, n, "b", secondaryAddr)
		p.host.FailAfter("ReadRange", 1, replication.Errorf(replication.StorageFailed, "the disk is full"))
		s.join(p.token("sec"), "sec")
		s.awaitFailover(standInAddr)
		s.awaitError("the disk is full")
		require.NoError(t, p.engine.Stop(t.Context()))
		d.takeOver(p, epoch(2, "two"), false)
		awaitEqual(t, d, s)
	})
}

// The primary dies before a first copy has begun. The copy begins with the cluster that took over.
func TestFirstCopyBeginsWithTheClusterThatTookOver(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p := newCluster(t, n, "a", primaryAddr)
		p.enablePrimary(epoch(1, "one"))
		p.host.Write("key", "x")
		d := standIn(t, n, p)
		s := newCluster(t, n, "b", secondaryAddr)
		tr, err := s.engine.EnableSecondary(t.Context(), replication.EnableSecondaryRequest{Bundle: p.token("sec"), ID: "sec",
			Challenge: []byte("challenge")})
		require.NoError(t, err)
		require.NoError(t, p.engine.Stop(t.Context()))
		s.carryOut(tr, replication.Epoch{})
		d.takeOver(p, epoch(2, "two"), false)
		awaitEqual(t, d, s)
	})
}

// A cluster that was promoted beside a working primary does not attract secondaries by itself. Otherwise the primary's
// secondaries would go there at the next hiccup of the network and never come back.
func TestContestedPrimaryTakesOverNothingByItself(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		d := standIn(t, n, p)
		awaitEqual(t, p, s)
		s.awaitFailover(standInAddr)
		d.takeOver(p, epoch(2, "drill"), true)
		require.NoError(t, p.engine.Stop(t.Context()))
		s.awaitError("refuses this secondary: this cluster was promoted while its primary was connected")
		require.Equal(t, 1, s.host.Count("BeginCopy"))
		require.NoError(t, p.engine.Start(t.Context(), p.start))
		p.host.Write("after the drill", "x")
		awaitEqual(t, p, s)

		require.NoError(t, p.engine.Stop(t.Context()))
		tr, err := s.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{Addrs: []string{standInAddr}})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		awaitEqual(t, d, s)
	})
}

// Two clusters with the certificate of one secondary would end each other's sessions.
func TestContestedSecondaryWaitsForAnOperator(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		d := newCluster(t, n, "d", standInAddr)
		d.host.Inherit(s.host, replication.Epoch{})
		cursor, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		d.host.SetCursor(*cursor)
		dials := n.Dials(primaryAddr)
		d.start = replication.StartRequest{Role: replication.Secondary, ClusterID: p.start.ClusterID, Contested: true}
		d.restart()
		require.Contains(t, d.status().LastError, "use update-primary")
		require.Equal(t, "sec", d.status().SecondaryID)
		<-time.After(time.Minute)
		require.Equal(t, dials, n.Dials(primaryAddr))
		require.Equal(t, replication.StreamWALs, s.status().State)

		require.NoError(t, s.engine.Stop(t.Context()))
		tr, err := d.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{Addrs: []string{primaryAddr}})
		require.NoError(t, err)
		d.carryOut(tr, replication.Epoch{})
		awaitEqual(t, p, d)
	})
}

// A silent primary may come back any moment. So a refusal at another address does not make the secondary wait long.
func TestRefusalBesideASilentAddressDoesNotDelay(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		newer := replication.Cursor{Position: replication.Position{Epoch: epoch(5, "newer"), Sequence: 1}}
		s.host.SetCursor(newer)
		const other = "https://a2.test:8201"
		tr, err := s.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{Addrs: []string{primaryAddr, other}})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		s.awaitError("newer primary")
		before := n.Dials(other)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Greater(t, n.Dials(other)-before, 6)
	})
}

func TestPromotionBesideALivePrimaryIsContested(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		tr, err := s.promote(true)
		require.NoError(t, err)
		require.True(t, tr.Contested)
		require.Contains(t, strings.Join(tr.Warnings, " "), "there are two now")
		// After a loss of power the primary seems still connected, but says nothing.
		n.Silence(primaryAddr)
		p.host.HideAPI(true)
		tr, err = s.promote(false)
		require.NoError(t, err)
		require.False(t, tr.Contested)
		require.NoError(t, p.engine.Stop(t.Context()))
		// A handshake that was silenced ends by its own timeout.
		<-time.After(15 * time.Second)
	})
}

// A DR primary keeps the addresses of its secondaries while they are away and over its own restart, until they are
// revoked.
func TestDRPrimaryKeepsAddressesOfItsSecondaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{Network: enginetest.NewNetwork(), mode: replication.DR}
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		s.host.SetAddresses(secondaryAddr, "https://b2.test:8201")
		p.awaitFailover(secondaryAddr, "https://b2.test:8201")
		// They are stored after a while. A secondary cannot cause a write as often as it
		// likes.
		<-time.After(primary.NodeInterval)
		require.NoError(t, s.engine.Stop(t.Context()))
		p.restart()
		p.awaitFailover(secondaryAddr, "https://b2.test:8201")
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}))
		p.awaitFailover()
		for name := range p.host.State() {
			require.NotContains(t, name, "primary/node/")
		}
		p.restart()
		p.awaitFailover()
	})
}

func TestPerformancePrimaryKeepsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{Network: enginetest.NewNetwork(), mode: replication.Performance}
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		require.Empty(t, p.status().FailoverAddrs)
	})
}
