// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// statePrefix is where a host keeps the records of its plugin.
const statePrefix = "core/replication/dr/state/"

// isIndex says whether a key is of the stored index.
func isIndex(key string) bool {
	return strings.HasPrefix(key, "index-dr/pages/") || strings.HasPrefix(key, "index/pages/")
}

// plugin is one life of a plugin's process, with the host's services for it. They are those
// of host/internal/role over the same tap, without the core that those need.
type plugin struct {
	replication.Host // panics: no call that the engine makes is left to it

	p      *process
	engine *engine.Engine
	dead   chan struct{}
	once   sync.Once
	// turn is whose it is to start and stop the engine, which has a mutex for that: see the
	// consequences in docs/adr/0018-simulation.md.
	turn chan struct{}

	mu    sync.Mutex
	conns []*conn
}

var _ replication.Host = (*plugin)(nil)

var errPluginGone = errors.New("the plugin's process has ended")

// kill ends the plugin's process. What it has asked of the host goes on there.
func (g *plugin) kill() {
	g.once.Do(func() {
		close(g.dead)
		g.mu.Lock()
		conns := g.conns
		g.conns = nil
		g.mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
}

func (g *plugin) over() bool {
	select {
	case <-g.dead:
		return true
	default:
		return false
	}
}

// own makes a connection end with the plugin.
func (g *plugin) own(c *conn) {
	g.mu.Lock()
	if !g.over() {
		g.conns = append(g.conns, c)
		c = nil
	}
	g.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// trapped says whether the plugin ends at a call: before it or after it.
func (g *plugin) trapped(call string) *trap {
	n := g.p.node
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls[call]++
	t := n.pluginTrap
	if t == nil || t.step != call {
		return nil
	}
	if t.nth--; t.nth > 0 {
		return nil
	}
	n.pluginTrap = nil
	n.sim.reached(n, t)
	return t
}

// call is one call over the plugin's link. Its caller may be gone before it is carried out.
// It is carried out all the same.
func call[T any](ctx context.Context, g *plugin, name string, do func(context.Context) (T, error)) (T, error) {
	var none T
	if g.over() {
		return none, errPluginGone
	}
	t := g.trapped(name)
	if t != nil && !t.after {
		g.p.node.say("the plugin ends before %s", name)
		g.kill()
		return none, errPluginGone
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	lag := g.p.node.lag()
	g.p.carryOut(func() {
		if lag > 0 {
			time.Sleep(lag)
		}
		v, err := do(ctx)
		if t != nil {
			g.p.node.say("the plugin ends after %s", name)
			g.kill()
		}
		done <- result{v, err}
	})
	select {
	case r := <-done:
		if t != nil {
			return none, errPluginGone
		}
		return r.v, r.err
	case <-g.dead:
		return none, errPluginGone
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

type nothing struct{}

func do(ctx context.Context, g *plugin, name string, f func(context.Context) error) error {
	_, err := call(ctx, g, name, func(ctx context.Context) (nothing, error) { return nothing{}, f(ctx) })
	return err
}

// Node implements replication.Host.
func (g *plugin) Node(context.Context) (*replication.Node, error) {
	if g.over() {
		return nil, errPluginGone
	}
	a := g.p.node.addr
	return &replication.Node{
		APIAddr: a, ClusterAddr: a, ClusterAddrs: []string{a}, ClusterName: g.p.node.name, VaultVersion: "1.21.1",
		Now: time.Now(),
	}, nil
}

// GetState implements replication.Host.
func (g *plugin) GetState(ctx context.Context, key string) ([]byte, error) {
	return call(ctx, g, "GetState", func(ctx context.Context) ([]byte, error) {
		e, err := g.p.tap.Backend().Get(ctx, statePrefix+key)
		if e == nil || err != nil {
			return nil, err
		}
		return e.Value, nil
	})
}

// PutState implements replication.Host.
func (g *plugin) PutState(ctx context.Context, key string, value []byte) error {
	return do(ctx, g, "PutState", func(ctx context.Context) error {
		return g.p.tap.Backend().Put(ctx, &physical.Entry{Key: statePrefix + key, Value: value})
	})
}

// DeleteState implements replication.Host.
func (g *plugin) DeleteState(ctx context.Context, key string) error {
	return do(ctx, g, "DeleteState", func(ctx context.Context) error {
		return g.p.tap.Backend().Delete(ctx, statePrefix+key)
	})
}

// ListState implements replication.Host.
func (g *plugin) ListState(ctx context.Context, prefix string) ([]string, error) {
	return call(ctx, g, "ListState", func(ctx context.Context) ([]string, error) {
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		names, err := g.p.tap.Backend().List(ctx, statePrefix+dir)
		for i := range names {
			names[i] = dir + names[i]
		}
		return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) }), err
	})
}

// Listen implements replication.Host.
func (g *plugin) Listen(ctx context.Context, req replication.ListenRequest) error {
	return do(ctx, g, "Listen", func(context.Context) error {
		g.p.node.listen(g, req)
		return nil
	})
}

// StopListening implements replication.Host.
func (g *plugin) StopListening(context.Context) error {
	g.p.node.unlisten(g)
	return nil
}

// Dial implements replication.Host.
func (g *plugin) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	return call(ctx, g, "Dial", func(ctx context.Context) (net.Conn, error) {
		c, err := g.p.node.dial(ctx, req)
		if err != nil {
			return nil, err
		}
		g.own(c)
		return c, nil
	})
}

// RoleAt implements replication.Host.
func (g *plugin) RoleAt(_ context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	return nil, replication.Errorf(replication.Unreachable, "no cluster of a simulation has an API, nor is one at %s",
		apiAddr)
}

// SealHandover implements replication.Host.
func (g *plugin) SealHandover(context.Context, replication.SealHandoverRequest) (*replication.Handover, error) {
	return nil, replication.Errorf(replication.Unavailable, "nobody joins in a simulation")
}

// Receive implements replication.Host.
func (g *plugin) Receive(context.Context, replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	return nil, replication.Errorf(replication.Unavailable, "nothing is forwarded in a simulation")
}
