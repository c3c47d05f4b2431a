// SPDX-License-Identifier: MPL-2.0

package link

import (
	"net/url"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// MergeAddresses joins lists in order, without what is not an address, without
// doubles, and bounded.
func MergeAddresses(lists ...[]string) []string {
	var out []string
	seen := map[string]bool{}
	for _, list := range lists {
		for _, a := range list {
			if len(out) == AddressesMax {
				return out
			}
			if seen[a] || clusteraddr.Check(a) != nil {
				continue
			}
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// FailoverAddresses joins lists as MergeAddresses does, bounded by FailoverMax. It never
// returns nil, because nil means unknown.
func FailoverAddresses(lists ...[]string) []string {
	all := MergeAddresses(lists...)
	return append([]string{}, all[:min(len(all), FailoverMax)]...)
}

// NodeInfo is what a peer says of its active node. It is shown and dialled, never trusted:
// a server must still have the right certificate.
type NodeInfo struct {
	APIAddr, ClusterAddr string
	ClusterAddrs         []string
	// FailoverAddrs is nil when the peer does not know them, or does not tell.
	FailoverAddrs []string
	// PeerAPIAddrs are the API addresses of a primary's other secondaries.
	PeerAPIAddrs []string
}

// APIAddress is an address if it is the URL of an API, empty otherwise. It is shown, and
// people click on it.
func APIAddress(addr string) string {
	if len(addr) > clusteraddr.Max || strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return ""
	}
	return addr
}

// APIAddresses joins lists of API addresses in order, bounded by PeersMax. It leaves out
// doubles and what is not an address.
func APIAddresses(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, a := range list {
			if len(out) < PeersMax && APIAddress(a) != "" && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// ToNode makes the wire form; first are addresses to hand out ahead of the
// node's own.
func ToNode(n *replication.Node, first ...string) *linkv1.Node {
	w := &linkv1.Node{
		ApiAddr:      n.APIAddr,
		ClusterAddr:  n.ClusterAddr,
		ClusterAddrs: MergeAddresses(first, []string{n.ClusterAddr}, n.ClusterAddrs),
	}
	if n.Failover != nil {
		w.Failover = &commonv1.Addresses{ClusterAddrs: FailoverAddresses(n.Failover)}
	}
	return w
}

// FromNode reads the wire form. It leaves out what is not an address: that must not end a
// session.
func FromNode(w *linkv1.Node) NodeInfo {
	n := NodeInfo{ClusterAddrs: MergeAddresses(w.GetClusterAddrs()), PeerAPIAddrs: APIAddresses(w.GetPeerApiAddrs())}
	if f := w.GetFailover(); f != nil {
		n.FailoverAddrs = FailoverAddresses(f.GetClusterAddrs())
	}
	if clusteraddr.Check(w.GetClusterAddr()) == nil {
		n.ClusterAddr = w.GetClusterAddr()
	}
	n.APIAddr = APIAddress(w.GetApiAddr())
	return n
}
