// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"net"
	"strings"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// weave makes the network between the cluster ports. All nodes have one address, so the
// process that holds a connection tells who dialled it.
func (c *Cluster) weave() (err error) {
	c.mesh, err = cable.Weave(c.opts.Nodes, c.dialler, func(node int) string {
		return strings.TrimPrefix(c.nodes[node].ClusterAddress(), "https://")
	})
	return err
}

func (c *Cluster) dialler(near, far *net.TCPAddr) int {
	c.mu.Lock()
	pids := append([]int(nil), c.pids...)
	c.mu.Unlock()
	for i, pid := range pids {
		if pid != 0 && procfs.Dialled(pid, near, far) {
			return i
		}
	}
	return -1
}

// started notes the process of a node.
func (c *Cluster) started(node, pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pids) <= node {
		c.pids = append(c.pids, 0)
	}
	c.pids[node] = pid
}

// CutOff cuts a node off from the other nodes of its cluster and from nobody else: its
// clients and other clusters reach it. Connections stay open and nothing passes.
func (c *Cluster) CutOff(n *Node) {
	n.cutOff = true
	c.mesh.Part(n.index)
}

// Reconnect ends what CutOff began.
func (c *Cluster) Reconnect(n *Node) {
	n.cutOff = false
	c.mesh.Mend(n.index)
}

// advertised is the cluster address that the node names to others.
func (n *Node) advertised() string {
	switch {
	case n.cluster.mesh != nil:
		return "https://" + n.cluster.mesh.Addr(n.index)
	case n.cluster.opts.ClusterAddr != "":
		return n.cluster.opts.ClusterAddr
	}
	return n.ClusterAddress()
}
