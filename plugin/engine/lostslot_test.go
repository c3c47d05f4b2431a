// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A lost slot costs one copy, and then the stream goes on: whether the secondary was away, streamed, or was behind.
func TestLostSlotCopiesOnce(t *testing.T) {
	for name, lose := range map[string]func(p, s *cluster){
		"away": func(p, s *cluster) {
			require.NoError(p.t, s.engine.Stop(p.t.Context()))
			p.host.Write("missed", "x")
			p.host.LoseSlot("sec")
			require.NoError(p.t, s.engine.Start(p.t.Context(), s.start))
		},
		"streaming": func(p, _ *cluster) { p.host.LoseSlot("sec") },
		"behind": func(p, s *cluster) {
			release := s.host.Hold()
			for i := range 5 {
				p.host.Write(fmt.Sprintf("late-%d", i), "x")
			}
			p.host.LoseSlot("sec")
			release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p, s := pair(t, n)
				awaitEqual(t, p, s)
				begun := s.host.Count("BeginCopy")
				lose(p, s)
				eventually(t, time.Minute, "a copy", func() bool { return s.host.Count("BeginCopy") == begun+1 })
				awaitEqual(t, p, s)
				for i := range 20 {
					p.host.Write(fmt.Sprintf("live-%02d", i), "x")
					awaitEqual(t, p, s)
				}
				<-time.After(time.Hour)
				require.Equal(t, begun+1, s.host.Count("BeginCopy"), "one copy for one loss")
				require.Equal(t, 2, p.host.Count("OpenSlot"))
				require.Contains(t, s.status().LastError, "compared and mended")
			})
		})
	}
}

// A copy whose slot is lost ends at the next heartbeat, not at its own end, and another copy is made. If copies are cut
// off again and again, the next one does not begin at once.
func TestSlotLostInACopy(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		release := s.host.Hold()
		s.awaitState(replication.MerkleSync)
		p.host.LoseSlot("sec")
		eventually(t, time.Minute, "the copy is given up", func() bool { return p.host.Count("OpenSlot") == 2 })
		begun := p.host.Count("OpenSlot")
		for range 60 {
			p.host.LoseSlot("sec")
			<-time.After(time.Minute)
		}
		require.Less(t, p.host.Count("OpenSlot")-begun, 20, "copies that cannot hold are no tight loop")
		require.True(t, strings.Contains(s.status().LastError, "copies in a row did not hold") ||
			s.status().State == replication.MerkleSync)
		release()
		awaitEqual(t, p, s)
	})
}

// While a secondary copies it acknowledges nothing. The host still hears that it is connected.
func TestHostHearsOfASecondaryThatCopies(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		release := s.host.Hold()
		s.awaitState(replication.MerkleSync)
		heard, slot := p.host.Count("AckSlot"), p.host.Slots()["sec"]
		eventually(t, time.Minute, "the slot is touched", func() bool { return p.host.Count("AckSlot") > heard+2 })
		require.Equal(t, slot, p.host.Slots()["sec"], "and does not move")
		release()
		awaitEqual(t, p, s)
	})
}
