// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A key that the secondary's storage refuses stops nothing else. When the storage takes it, it is fetched beside the
// stream, even if nothing is written on the primary.
func TestMissingKeyIsFetched(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.OnReceive(echo)
		s.host.Refuse(func(_, value string) bool { return len(value) > 10 })
		copies := s.host.Count("BeginCopy")
		p.host.Write("large", "longer than ten")
		p.host.Write("beside", "it")
		applied := func() bool {
			c, err := s.host.Cursor(t.Context())
			require.NoError(t, err)
			return c.Position == p.host.Now()
		}
		eventually(t, time.Minute, "the rest is there",
			func() bool { return applied() && s.host.Content()["beside"] == "it" })
		require.NotContains(t, s.host.Content(), "large")
		eventually(t, time.Minute, "asked again, and refused again",
			func() bool { return s.host.Count("missing fetched") > 1 })
		require.Equal(t, replication.StreamWALs, s.status().State)
		_, err := s.forward(t.Context(), "x")
		require.NoError(t, err)

		require.NoError(t, p.engine.Stop(t.Context()))
		eventually(t, time.Minute, "cut off", func() bool { return s.status().State == replication.Idle })
		_, err = s.engine.PromoteSecondary(t.Context(), replication.PromoteSecondaryRequest{})
		requireKind(t, replication.Unavailable, err, "1 keys of the primary are missing here")
		_, err = s.engine.PromoteSecondary(t.Context(), replication.PromoteSecondaryRequest{Force: true})
		require.NoError(t, err)
		require.NoError(t, p.engine.Start(t.Context(), p.start))
		s.awaitState(replication.StreamWALs)

		dials := n.Dials(primaryAddr)
		s.host.Refuse(nil)
		awaitEqual(t, p, s)
		asked := s.host.Count("missing fetched")
		<-time.After(time.Minute)
		require.Equal(t, asked, s.host.Count("missing fetched"), "nothing is missing any more")
		require.Equal(t, copies, s.host.Count("BeginCopy"))
		require.Equal(t, dials, n.Dials(primaryAddr), "over the same connection")
	})
}

// A host that wants a comparison for its missing keys gets one. Keys that it refuses then are no reason for another
// one.
func TestMissingKeysAreCompared(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		s.host.Refuse(func(_, value string) bool { return len(value) > 10 })
		p.host.Write("large", "longer than ten")
		eventually(t, time.Minute, "asked again", func() bool { return s.host.Count("missing fetched") > 0 })
		s.host.Fail("Diff", replication.Errorf(replication.PositionLost, "not all are known by name"))
		copies := s.host.Count("BeginCopy")
		eventually(t, time.Minute, "a comparison", func() bool { return s.host.Count("BeginCopy") > copies })
		s.host.Fail("Diff", nil)
		eventually(t, 10*time.Minute, "streams", func() bool { return s.status().State == replication.StreamWALs })
		copies = s.host.Count("BeginCopy")
		<-time.After(time.Hour)
		require.Equal(t, copies, s.host.Count("BeginCopy"))
	})
}
