// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"fmt"
	"net"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// failOver looks whether a cluster has taken the primary's place, while the client waits for its next attempt at the
// primary. Such a cluster has the primary's authority, so it can prove what it is, and a newer epoch. A cluster that
// was not promoted has no port for secondaries. failOver ends with due. If a cluster has answered by then, it waits for
// the whole answer and leaves the session in moved.
func (c *Client) failOver(ctx, due context.Context) {
	c.note = ""
	addresses := c.addresses.Failover()
	dialling, enough := context.WithCancel(due)
	defer enough()
	answers := make(chan answer, len(addresses))
	// All are dialled at once. An address to which packets are dropped costs seconds.
	for _, address := range addresses {
		go func() {
			conn, err := c.host.Dial(dialling, c.bundle.DialRequest(address))
			answers <- answer{address: address, conn: conn, err: err}
		}()
	}
	telling := 0
	for range addresses {
		a := <-answers
		if c.moved != nil {
			if a.err == nil {
				_ = a.conn.Close()
			}
			continue
		}
		if a.err == nil {
			a.answered = true
			c.moved, a.err = c.open(ctx, a.conn, a.address, true)
		}
		if a.err == nil {
			c.logger.Info("another cluster has taken the primary's place and is followed", "address", a.address)
			c.note = ""
			enough()
		} else if rank, note := a.whyNot(); rank > telling {
			telling, c.note = rank, note
		}
	}
}

// answer is the answer of a cluster that could take the primary's place.
type answer struct {
	address string
	conn    net.Conn
	err     error
	// answered says that the cluster has the role and refused the session.
	answered bool
}

// whyNot says why the cluster is not followed. The rank says how much that tells an
// operator.
func (a *answer) whyNot() (rank int, note string) {
	switch {
	case a.answered:
		return 3, fmt.Sprintf("the cluster at %s, which could take its place, refuses this secondary: %s", a.address, a.err)
	case replication.KindOf(a.err) == replication.Denied:
		return 2, fmt.Sprintf("its DR secondary at %s has not taken its place: promote that one if the primary is gone for "+
			"good", a.address)
	default:
		return 1, fmt.Sprintf("its DR secondary at %s cannot be reached either", a.address)
	}
}

func (c *Client) dropMoved() {
	if c.moved != nil {
		_ = c.moved.conn.Close()
		c.moved = nil
	}
}
