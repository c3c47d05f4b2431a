// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"bytes"
	"context"
	"net"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// listen lets a plugin have the connections of the primary's cluster port.
func (n *node) listen(g *plugin, _ replication.ListenRequest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-g.p.deposed: // the port is that of the node that leads
	default:
		n.listening = g
	}
}

func (n *node) unlisten(g *plugin) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listening == g {
		n.listening = nil
	}
}

// dial connects a secondary with the primary. TLS belongs to the host and is not simulated:
// the certificate that the client would have proved is handed over unchanged.
func (n *node) dial(ctx context.Context, req replication.DialRequest) (*conn, error) {
	if n.link == nil || req.Address != n.sim.primary.addr {
		return nil, replication.Errorf(replication.Unreachable, "there is nothing at %s", req.Address)
	}
	near, far, err := n.link.connect(ctx, toPrimary)
	if err != nil {
		return nil, err
	}
	p := n.sim.primary
	p.mu.Lock()
	g := p.listening
	p.mu.Unlock()
	if g == nil || g.over() || !bytes.Equal(req.CACert, n.sim.set.caCert) {
		near.vanish()
		return nil, replication.Errorf(replication.Unreachable, "the primary refuses connections")
	}
	g.own(far)
	serve := func(c net.Conn) {
		_ = g.engine.ServeConn(context.Background(), c, replication.PeerInfo{Certificate: req.Cert, RemoteAddr: n.addr})
		_ = c.Close()
	}
	n.sim.tasks.Go(func() { serve(far) })
	return near, nil
}

// disconnect ends the connections of a process that has ended. If the node is mute, its
// peers are told nothing until it is back.
func (n *node) disconnect(p *process) {
	n.mu.Lock()
	mute := n.mute
	n.mute = false
	n.mu.Unlock()
	p.mu.Lock()
	g := p.plugin
	p.mu.Unlock()
	if g == nil {
		return
	}
	if mute {
		g.mu.Lock()
		conns := g.conns
		g.conns = nil
		g.mu.Unlock()
		for _, c := range conns {
			c.vanish()
		}
		n.mu.Lock()
		n.lost = append(n.lost, conns...)
		n.mu.Unlock()
	}
	g.kill()
}

// revive makes a node that is back answer for connections that it does not know.
func (n *node) revive() {
	n.mu.Lock()
	lost := n.lost
	n.lost = nil
	n.mu.Unlock()
	for _, c := range lost {
		c.tell(errReset)
	}
}
