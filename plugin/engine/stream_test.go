// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestFirstCopyAndStream(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		// Writes while the copy is held half way: the stream must bring them.
		release := s.host.Hold()
		s.awaitState(replication.MerkleSync)
		require.Equal(t, uint64(10), s.status().SyncTotal)
		for i := range 20 {
			p.host.Write(fmt.Sprintf("key-%02d", i), "second")
		}
		p.host.Delete("key-00")
		release()
		awaitEqual(t, p, s)
		p.host.Write("live", "one")
		p.host.Delete("key-01")
		awaitEqual(t, p, s)
		require.NotContains(t, s.host.Content(), "own")
		require.Equal(t, 1, s.host.Count("BeginCopy"))
		eventually(t, time.Minute, "the slot follows", func() bool { return p.host.Slots()["sec"] == p.host.Now().Sequence })
	})
}

// A demotion waits until a secondary has acknowledged the last write. A secondary that has everything counts as such
// without being sent anything, however its session began.
func TestSessionAtRestHasAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		for _, again := range []func(){
			func() {},
			s.restart,
			p.restart,
			func() { n.Break(primaryAddr) },
			func() { require.NoError(t, p.engine.Recover(t.Context())) },
		} {
			again()
			eventually(t, time.Minute, "all of it counts as acknowledged", func() bool {
				peers := p.status().Secondaries
				return len(peers) == 1 && peers[0].Connected && peers[0].Acknowledged == p.host.Now().Sequence
			})
		}
		require.Equal(t, 1, s.host.Count("BeginCopy"))
	})
}

func TestRestartsResumeWithoutCopy(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		for _, again := range []func(){
			s.restart,
			p.restart,
			func() { n.Break(primaryAddr) },
			func() { require.NoError(t, s.engine.Recover(t.Context())) },
			func() { require.NoError(t, p.engine.Recover(t.Context())) },
		} {
			again()
			p.host.Write("key", time.Now().String())
			awaitEqual(t, p, s)
		}
		require.Equal(t, 1, s.host.Count("BeginCopy"))
		require.Equal(t, 1, p.host.Count("OpenSlot"))
	})
}

// An apply of the former session may end after the present session has said where it begins. Then the secondary
// acknowledges more than this session sent. That is no false claim: the session goes on.
func TestApplyOfTheFormerSessionLandsLate(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		dials := s.host.Count("Dial")
		release := s.host.Hold()
		for i := range 20 {
			p.host.Write(fmt.Sprintf("key-%02d", i), "v")
			synctest.Wait()
		}
		s.host.SetCursor(replication.Cursor{Position: p.host.Now(), ConsistentFrom: p.host.Now().Sequence})
		release()
		synctest.Wait()
		p.host.Write("key", "later")
		eventually(t, time.Minute, "all is acknowledged", func() bool {
			peers := p.status().Secondaries
			return len(peers) == 1 && peers[0].Acknowledged == p.host.Now().Sequence
		})
		require.Equal(t, dials, s.host.Count("Dial"), "the session was cut: %s", s.status().LastError)
	})
}

func TestCopyGoesOnWhereItWasCut(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p := newCluster(t, n, "a", primaryAddr)
		p.enablePrimary(epoch(1, "one"))
		for i := range 30 {
			p.host.Write(fmt.Sprintf("key-%02d", i), "first")
		}
		s := newCluster(t, n, "b", secondaryAddr)
		s.host.FailAfter("ApplyRange", 4, replication.Errorf(replication.StorageFailed, "the disk is full"))
		s.join(p.token("sec"), "sec")
		eventually(t, time.Minute, "the failure shows", func() bool {
			return strings.Contains(s.status().LastError, "disk is full") && s.status().State == replication.Idle
		})
		p.restart()
		s.restart()
		p.host.Write("key-00", "later")
		s.host.Fail("ApplyRange", nil)
		awaitEqual(t, p, s)
		require.Equal(t, 1, s.host.Count("BeginCopy"))
		require.Equal(t, 1, p.host.Count("OpenSlot"))
		require.Equal(t, 10, s.host.Count("ranges applied"), "no range is applied twice")
	})
}

func TestCutCopyBeginsAnewWithoutItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		release := s.host.Hold()
		s.awaitState(replication.MerkleSync)
		require.NoError(t, s.engine.Stop(t.Context()))
		p.host.Write("key-00", "missed by a slot that opens later")
		cursor, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		_, err = p.host.OpenSlot(t.Context(), "sec", cursor.Proof)
		require.NoError(t, err)
		require.NoError(t, p.host.CloseSlot(t.Context(), "sec"))
		release()
		require.NoError(t, s.engine.Start(t.Context(), s.start))
		awaitEqual(t, p, s)
		require.Equal(t, 2, s.host.Count("BeginCopy"))
	})
}

// A host whose cursor has moved has not refused the rows.
func TestHostThatMovedIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		before, err := s.host.Cursor(t.Context())
		require.NoError(t, err)
		// The slot stays, so that the primary still has the rows.
		p.host.Fail("AckSlot", replication.Errorf(replication.StorageFailed, "no space"))
		p.host.Write("lost", "x")
		awaitEqual(t, p, s)
		s.host.SetCursor(*before)
		p.host.Fail("AckSlot", nil)
		applied := s.host.Count("ApplyFrame")
		p.host.Write("after", "x")
		eventually(t, time.Minute, "asked again", func() bool { return s.host.Count("ApplyFrame") >= applied+2 })
		awaitEqual(t, p, s)
		require.Equal(t, 1, s.host.Count("BeginCopy"))
	})
}

var errWidened = replication.Errorf(replication.PositionLost, "more of the primary is replicated here now")

// Epoch and cursor are unchanged. Only the host knows that it lacks content.
func TestRefusedFrameCopiesOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		s.host.RefuseUntilCopied(errWidened)
		applied, dials := s.host.Count("ApplyFrame"), n.Dials(primaryAddr)
		p.host.Write("refused", "x")
		eventually(t, time.Minute, "a copy", func() bool { return s.host.Count("BeginCopy") == 2 })
		require.Equal(t, applied+1, s.host.Count("ApplyFrame"), "a refused frame is not tried again")
		awaitEqual(t, p, s)
		eventually(t, time.Minute, "the reason is shown", func() bool {
			return strings.Contains(s.status().LastError, "mended: more of the primary")
		})
		for i := range 20 {
			p.host.Write(fmt.Sprintf("live-%02d", i), "x")
			awaitEqual(t, p, s)
		}
		require.Equal(t, 2, s.host.Count("BeginCopy"))
		require.Equal(t, dials, n.Dials(primaryAddr), "over the same connection")
	})
}

func TestRefusedRangeBeginsTheCopyAnew(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		release := s.host.Hold()
		s.awaitState(replication.MerkleSync)
		s.host.RefuseUntilCopied(errWidened)
		release()
		awaitEqual(t, p, s)
		require.Equal(t, 2, s.host.Count("BeginCopy"))
	})
}

// Each copy succeeds, and heartbeats go on for a while before the next write. This must not look as if the copies had
// helped.
func TestHostThatRefusesForEverIsNoTightLoop(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		s.host.Fail("ApplyFrame", errWidened)
		begun := s.host.Count("BeginCopy")
		for i := range 1200 {
			p.host.Write(fmt.Sprintf("key-%04d", i), "x")
			<-time.After(3 * time.Second)
		}
		synctest.Wait()
		require.Greater(t, s.host.Count("BeginCopy")-begun, 2)
		require.Less(t, s.host.Count("BeginCopy")-begun, 15)
		require.Contains(t, s.status().LastError, "copies in a row did not hold")
		s.host.Fail("ApplyFrame", nil)
		awaitEqual(t, p, s)
	})
}

func TestLostPositionCopiesAgain(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		require.NoError(t, s.engine.Stop(t.Context()))
		p.host.Write("missed", "x")
		p.host.Forget()
		require.NoError(t, s.engine.Start(t.Context(), s.start))
		awaitEqual(t, p, s)
		require.Equal(t, 2, s.host.Count("BeginCopy"))
		eventually(t, time.Minute, "the reason is shown",
			func() bool { return strings.Contains(s.status().LastError, "compared and mended") })
	})
}

func TestCopiesThatDoNotHoldAreNoTightLoop(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		lost := replication.Errorf(replication.PositionLost, "the rows are gone")
		p.host.Fail("ReadJournal", lost)
		require.NoError(t, s.engine.Recover(t.Context()))
		begun := s.host.Count("BeginCopy")
		eventually(t, time.Hour, "complaint",
			func() bool { return strings.Contains(s.status().LastError, "copies in a row did not hold") })
		<-time.After(time.Hour)
		synctest.Wait()
		require.Less(t, s.host.Count("BeginCopy")-begun, 15)
		p.host.Fail("ReadJournal", nil)
		awaitEqual(t, p, s)
	})
}

func TestSlowSecondaryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		read, bytes := p.host.Count("frames read"), p.host.Count("bytes read")
		release := s.host.Hold()
		value := strings.Repeat("v", 64<<10)
		for i := range 300 {
			p.host.Write(fmt.Sprintf("big-%03d", i), value)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		require.LessOrEqual(t, p.host.Count("frames read")-read, 17)
		require.LessOrEqual(t, p.host.Count("bytes read")-bytes, 16<<20)
		require.Equal(t, replication.StreamWALs, s.status().State, "slow is not lost: heartbeats go on")
		require.Greater(t, s.status().Primaries[0].CanaryAge, 50*time.Second)
		require.Greater(t, p.status().Secondaries[0].CanaryAge, 50*time.Second)
		release()
		awaitEqual(t, p, s)
	})
}

func TestHalfOpenLinkIsNoticedByBothEnds(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		n.Freeze(primaryAddr)
		begun := s.status().LastStart
		frozen := time.Now()
		eventually(t, time.Minute, "the primary notices", func() bool { return !p.status().Secondaries[0].Connected })
		eventually(t, time.Minute, "the secondary begins anew", func() bool { return s.status().LastStart.After(begun) })
		require.Less(t, time.Since(frozen), 16*time.Second, "before the transport notices")
		p.host.Write("after", "x")
		awaitEqual(t, p, s)
		require.Equal(t, 1, s.host.Count("BeginCopy"))
	})
}

func TestStatusOfBothEnds(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		<-time.After(5 * time.Second)
		ps, ss := p.status(), s.status()
		require.Equal(t, replication.Running, ps.State)
		require.Equal(t, []string{"sec"}, ps.KnownSecondaries)
		require.Len(t, ps.Secondaries, 1)
		sec := ps.Secondaries[0]
		require.True(t, sec.Connected)
		require.Equal(t, "sec", sec.NodeID)
		require.Equal(t, "https://b.test:8200", sec.APIAddress)
		require.Equal(t, secondaryAddr, sec.ClusterAddress)
		require.Less(t, sec.CanaryAge, 2*time.Second)
		require.Equal(t, replication.ConnReady, ss.ConnectionState)
		require.Equal(t, "sec", ss.SecondaryID)
		require.Equal(t, primaryAddr, ss.PrimaryClusterAddr)
		require.Equal(t, []string{primaryAddr}, ss.KnownPrimaryClusterAddrs)
		require.Len(t, ss.Primaries, 1)
		require.Less(t, ss.Primaries[0].CanaryAge, 2*time.Second)
		require.Less(t, time.Since(ss.Primaries[0].LastHeartbeat), 2*time.Second)
		require.Empty(t, ss.LastError)
	})
}

// Every registered secondary is listed, even one that never connected, or not since the primary was started.
func TestEveryRegisteredSecondaryIsListed(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.token("never")
		s.die()
		p.restart()
		peers := p.status().Secondaries
		require.Equal(t, []replication.Peer{{NodeID: "never"}, {NodeID: "sec"}}, peers)
	})
}
