// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"slices"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// twinShown is how long the status shows a second cluster under one id after its last attempt. It tries again within
// seconds.
const twinShown = time.Minute

// twin is a second cluster that came with the certificate of a secondary: the copy of a server, or a snapshot that
// was restored elsewhere.
type twin struct {
	kept, refused string
	at            time.Time
}

func (t twin) error(id string) error {
	return replication.Errorf(replication.Unavailable, "two clusters use the credentials of the secondary %q: the one "+
		"at %s "+
		"is connected, and the one at %s is refused. If one of them is a copy of the other, disable replication on the "+
		"copy; "+
		"both can follow this primary if the copy gets a token of its own with update-primary", id, t.kept, t.refused)
}

// sameCluster says whether two nodes may be of one cluster: they have an address in common, or one of them names none.
func sameCluster(a, b link.NodeInfo) bool {
	all := func(n link.NodeInfo) []string { return link.MergeAddresses([]string{n.ClusterAddr}, n.ClusterAddrs) }
	known := all(a)
	return len(known) == 0 || len(all(b)) == 0 ||
		slices.ContainsFunc(all(b), func(address string) bool { return slices.Contains(known, address) })
}

// Twins says which secondaries two clusters claim to be, empty for none.
func (s *Server) Twins() string {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	var said []string
	for id, ps := range s.sessions.peers {
		if !ps.twin.at.IsZero() && time.Since(ps.twin.at) < twinShown {
			said = append(said, ps.twin.error(id).Error())
		}
	}
	slices.Sort(said)
	return strings.Join(said, "; ")
}
