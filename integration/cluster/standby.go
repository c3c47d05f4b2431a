// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
)

// WaitSealed waits until the node has sealed itself, its server running.
func (n *Node) WaitSealed(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, n.Name()+" is sealed", func(ctx context.Context) error {
		status, err := n.Anonymous().Sys().SealStatusWithContext(ctx)
		switch {
		case err != nil:
			return n.alive(err)
		case !status.Sealed:
			return errors.New("unsealed")
		}
		return nil
	})
}

// WaitStandby waits until the node is an unsealed standby that knows its leader.
func (n *Node) WaitStandby(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, n.Name()+" is a standby", func(ctx context.Context) error {
		health, err := n.Health(ctx)
		switch {
		case err != nil:
			return n.alive(err)
		case health.Sealed || !health.Standby:
			return fmt.Errorf("sealed %t, standby %t", health.Sealed, health.Standby)
		}
		leader, err := n.Anonymous().Sys().LeaderWithContext(ctx)
		if err == nil && leader.LeaderAddress == "" {
			err = errors.New("it knows no leader")
		}
		return err
	})
}

// WaitOtherActive waits until another node than the given one leads. It does not ask the
// given one, which may be gone, frozen, or cut off so that it does not know that it no
// longer leads.
func (c *Cluster) WaitOtherActive(ctx context.Context, than *Node) (*Node, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var active *Node
	err := Wait(ctx, "a node of "+c.opts.Name+" leads", func(ctx context.Context) error {
		for _, n := range c.nodes {
			if n == than || n.frozen || n.cutOff || n.process.exited() {
				continue
			}
			if health, err := n.Health(ctx); err == nil && !health.Sealed && !health.Standby {
				active = n
				return nil
			}
		}
		return errors.New("none yet")
	})
	return active, err
}

// WaitVoters waits until all raft nodes have a vote. The autopilot gives a vote to a node
// that has been stable for some time. A node without a vote cannot take over.
func (c *Cluster) WaitVoters(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, "all nodes of "+c.opts.Name+" have a vote", func(ctx context.Context) error {
		active, err := c.Active(ctx)
		if err != nil {
			return err
		}
		secret, err := active.APIClient().Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
		if err != nil {
			return err
		}
		raw, err := json.Marshal(secret.Data["config"])
		if err != nil {
			return err
		}
		var config struct {
			Servers []struct {
				Voter bool `json:"voter"`
			} `json:"servers"`
		}
		if err := json.Unmarshal(raw, &config); err != nil {
			return err
		}
		voters := 0
		for _, s := range config.Servers {
			if s.Voter {
				voters++
			}
		}
		if voters != len(c.nodes) {
			return fmt.Errorf("%d of %d have one", voters, len(c.nodes))
		}
		return nil
	})
}

// WaitLeader waits until a node leads.
func (c *Cluster) WaitLeader(ctx context.Context) (*Node, error) { return c.WaitOtherActive(ctx, nil) }

// Freeze stops the server where it is. It is worse than a network that drops all packets:
// the server notices nothing, and after [Node.Thaw] it goes on with what it had begun.
func (n *Node) Freeze() error {
	n.frozen = true
	return n.process.cmd.Process.Signal(syscall.SIGSTOP)
}

// Thaw lets it go on.
func (n *Node) Thaw() error {
	n.frozen = false
	return n.process.cmd.Process.Signal(syscall.SIGCONT)
}
