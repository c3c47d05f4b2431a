// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A secondary whose storage refuses rows stays connected: it forwards, sends heartbeats, and its status says what is
// wrong.
func TestForwardingOutlivesWhatStopsTheStream(t *testing.T) {
	for name, call := range map[string]string{"stream": "ApplyFrame", "copy": "ApplyRange", "end of a copy": "EndCopy",
		"beginning of a copy": "BeginCopy"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p := newCluster(t, n, "a", primaryAddr)
				p.enablePrimary(epoch(1, "one"))
				p.host.OnReceive(echo)
				s := newCluster(t, n, "b", secondaryAddr)
				s.host.Fail(call, replication.Errorf(replication.StorageFailed, "the disk is full"))
				p.host.Write("key", "value")
				s.join(p.token("sec"), "sec")
				if call == "ApplyFrame" {
					awaitEqual(t, p, s)
					p.host.Write("key", "another value")
				}
				eventually(t, time.Minute, "the failure shows", func() bool {
					return s.status().State == replication.Idle && s.status().LastError == "the disk is full"
				})
				dials := n.Dials(primaryAddr)
				for range 600 {
					answer, err := s.forward(t.Context(), "x")
					require.NoError(t, err)
					require.Equal(t, "sec said x", answer)
					<-time.After(100 * time.Millisecond)
				}
				st := s.status()
				require.Equal(t, replication.ConnReady, st.ConnectionState)
				require.Less(t, time.Since(st.Primaries[0].LastHeartbeat), 5*time.Second)
				require.Less(t, s.host.Count(call), 150, "what fails is not tried in a tight loop")
				s.host.Fail(call, nil)
				awaitEqual(t, p, s)
				require.Equal(t, dials, n.Dials(primaryAddr), "over one connection")
			})
		})
	}
}

// A comparison needs no new connection either, whichever side found the need.
func TestForwardingOutlivesALostPosition(t *testing.T) {
	for name, lose := range map[string]func(p, s *cluster){
		"by the host": func(p, s *cluster) {
			s.host.RefuseUntilCopied(replication.Errorf(replication.PositionLost, "more is replicated here than before"))
			p.host.Write("live", "x")
		},
		"by the fingerprint": func(_, s *cluster) {
			s.host.RefuseUntilCopied(replication.Errorf(replication.PositionLost, "the content was not that of the primary"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p, s := pair(t, n)
				awaitEqual(t, p, s)
				p.host.OnReceive(echo)
				dials := n.Dials(primaryAddr)
				lose(p, s)
				for s.host.Count("BeginCopy") < 2 {
					_, err := s.forward(t.Context(), "x")
					require.NoError(t, err)
					<-time.After(100 * time.Millisecond)
				}
				awaitEqual(t, p, s)
				require.Equal(t, dials, n.Dials(primaryAddr))
			})
		})
	}
}

// A request that cannot be forwarded gets the reason why there is no connection.
func TestForwardNamesTheCause(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}))
		eventually(t, time.Minute, "the cause", func() bool {
			_, err := s.forward(context.Background(), "x")
			return err != nil && strings.HasPrefix(err.Error(), "there is no connection to the primary now: ") &&
				strings.Contains(err.Error(), "was revoked")
		})
		require.Contains(t, s.status().LastError, "was revoked")
	})
}
