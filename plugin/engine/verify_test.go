// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A host that finds a difference in its content gets a comparison, once, and the status shows the reason.
func TestContentThatDiffersIsCompared(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		s.host.RefuseUntilCopied(replication.Errorf(replication.PositionLost, "the content was not that of the primary"))
		s.host.SetCursor(replication.Cursor{}) // as a host that must copy says
		eventually(t, time.Minute, "a comparison", func() bool { return s.host.Count("BeginCopy") == 2 })
		p.host.Write("live", "x")
		awaitEqual(t, p, s)
		eventually(t, time.Minute, "the reason", func() bool {
			return strings.Contains(s.status().LastError, "compared and mended: the content was not that")
		})
		require.Equal(t, 2, s.host.Count("BeginCopy"))
	})
}

// Any other failure of a comparison of fingerprints does not end the session.
func TestVerifyThatFailsEndsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		dials := n.Dials(primaryAddr)
		s.host.Fail("Verify", replication.Errorf(replication.StorageFailed, "the storage is slow"))
		asked := s.host.Count("Verify")
		eventually(t, time.Minute, "it is asked", func() bool { return s.host.Count("Verify") > asked+3 })
		require.Equal(t, dials, n.Dials(primaryAddr))
	})
}
