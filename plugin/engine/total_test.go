// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// progress is what the status of a secondary says of a copy after each of its ranges.
type progress struct{ copied, total uint64 }

// copied lets a copy go on range by range, from where it is held.
func copied(s *cluster, release func()) (all []progress) {
	for {
		synctest.Wait()
		st := s.status()
		if st.State != replication.MerkleSync {
			release()
			return all
		}
		all = append(all, progress{st.SyncProgress, st.SyncTotal})
		next := s.host.Hold()
		release()
		release = next
	}
}

// apart are a primary with ten keys, and a cluster that may join it.
func apart(t *testing.T, n *network) (p, s *cluster) {
	p = newCluster(t, n, "a", primaryAddr)
	p.enablePrimary(epoch(1, "one"))
	for i := range 10 {
		p.host.Write(fmt.Sprintf("key-%02d", i), "first")
	}
	return p, newCluster(t, n, "b", secondaryAddr)
}

// A primary that has not counted its keys yet when a secondary comes tells with each range how
// many are left. One of a release before does not, and may have counted them.
func TestTotalOfACopy(t *testing.T) {
	for name, c := range map[string]struct {
		countless, silent bool
		want              []progress
	}{
		"counted before":                   {false, false, []progress{{0, 10}, {3, 10}, {6, 10}, {9, 10}}},
		"counted while it is copied":       {true, false, []progress{{0, 0}, {3, 10}, {6, 10}, {9, 10}}},
		"counted by a release before":      {false, true, []progress{{0, 10}, {3, 10}, {6, 10}, {9, 10}}},
		"not known to a release before it": {true, true, []progress{{0, 0}, {3, 0}, {6, 0}, {9, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p, s := apart(t, n)
				p.host.Uncount(c.countless, c.silent)
				release := s.host.Hold()
				s.join(p.token("sec"), "sec")
				s.awaitState(replication.MerkleSync)
				require.Equal(t, c.want, copied(s, release))
				awaitEqual(t, p, s)
				require.Zero(t, s.status().SyncTotal)
			})
		})
	}
}

// A copy that was cut goes on with what is known of it.
func TestTotalOfACopyThatWasCut(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := apart(t, n)
		p.host.Uncount(true, false)
		s.host.FailAfter("ApplyRange", 2, replication.Errorf(replication.StorageFailed, "the disk is full"))
		s.join(p.token("sec"), "sec")
		eventually(t, time.Minute, "the copy is cut", func() bool { return s.status().LastError != "" })
		release := s.host.Hold()
		s.host.Fail("ApplyRange", nil)
		s.awaitState(replication.MerkleSync)
		require.Equal(t, []progress{{6, 10}, {9, 10}}, copied(s, release))
		awaitEqual(t, p, s)
	})
}
