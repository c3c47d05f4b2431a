// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// unsealLimit bounds initialisation and unsealing when the caller sets no limit.
const unsealLimit = 2 * time.Minute

func (c *Cluster) bootstrap(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	if err := c.initialize(ctx); err != nil {
		return err
	}
	return c.Unseal(ctx)
}

func (c *Cluster) initialize(ctx context.Context) error {
	req := &api.InitRequest{SecretShares: c.opts.Shares, SecretThreshold: c.opts.Threshold}
	if c.opts.Seal != nil {
		req = &api.InitRequest{RecoveryShares: c.opts.Shares, RecoveryThreshold: c.opts.Threshold}
	}
	resp, err := c.nodes[0].Anonymous().Sys().InitWithContext(ctx, req)
	if err != nil {
		return fmt.Errorf("initialising %s: %w", c.opts.Name, err)
	}
	c.SetRootToken(resp.RootToken)
	keys, err := decodeKeys(resp.Keys)
	if err != nil {
		return err
	}
	c.SetBarrierKeys(keys)
	recovery, err := decodeKeys(resp.RecoveryKeys)
	if err != nil {
		return err
	}
	c.SetRecoveryKeys(recovery)
	return nil
}

func decodeKeys(hexKeys []string) ([][]byte, error) {
	var keys [][]byte
	for _, k := range hexKeys {
		key, err := hex.DecodeString(k)
		if err != nil {
			return nil, fmt.Errorf("decoding a key share: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Unseal unseals every node and waits until each is active or standby. With
// auto-unseal it only waits.
func (c *Cluster) Unseal(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	for _, n := range c.nodes {
		if err := n.Unseal(ctx); err != nil {
			return err
		}
		if err := n.WaitUnsealed(ctx); err != nil {
			return err
		}
	}
	return c.WaitActive(ctx)
}

// Unseal gives the node the cluster's shares up to the threshold.
func (n *Node) Unseal(ctx context.Context) error {
	if n.cluster.opts.Seal != nil {
		return nil
	}
	client := n.Anonymous()
	// A node that joins a raft cluster knows its seal configuration only after
	// it has reached the leader.
	err := Wait(ctx, n.Name()+" is initialised", func(ctx context.Context) error {
		status, err := client.Sys().SealStatusWithContext(ctx)
		if err != nil {
			return err
		}
		if !status.Initialized {
			return errNotInitialised
		}
		return nil
	})
	if err != nil && n.index == 0 {
		return err
	}
	for _, key := range n.cluster.GetBarrierKeys() {
		status, err := client.Sys().UnsealWithContext(ctx, hex.EncodeToString(key))
		if err != nil {
			return fmt.Errorf("unsealing %s: %w", n.Name(), err)
		}
		if !status.Sealed {
			return nil
		}
	}
	return nil
}

// WaitUnsealed waits until the node is not sealed.
func (n *Node) WaitUnsealed(ctx context.Context) error {
	return Wait(ctx, n.Name()+" is unsealed", func(ctx context.Context) error {
		status, err := n.Anonymous().Sys().SealStatusWithContext(ctx)
		switch {
		case err != nil:
			return n.alive(err)
		case status.Sealed:
			return n.alive(errors.New("sealed"))
		}
		return nil
	})
}

// WaitActive waits until one node is active and ready to serve.
func (c *Cluster) WaitActive(ctx context.Context) error {
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, c.opts.Name+" has an active node", func(ctx context.Context) error {
		_, err := c.Active(ctx)
		return err
	})
}

// Active is the node that is active now.
func (c *Cluster) Active(ctx context.Context) (*Node, error) {
	var last error
	for _, n := range c.nodes {
		health, err := n.Health(ctx)
		switch {
		case err != nil:
			last = n.alive(err)
		case health.Sealed:
			last = fmt.Errorf("%s is sealed", n.Name())
		case health.Standby:
			last = fmt.Errorf("%s is standby", n.Name())
		default:
			return n, nil
		}
	}
	return nil, last
}

// Health is sys/health, whatever its code.
func (n *Node) Health(ctx context.Context) (*api.HealthResponse, error) {
	return n.Anonymous().Sys().HealthWithContext(ctx)
}

// alive turns the error of a server that has ended into a final one.
func (n *Node) alive(err error) error {
	if n.process != nil && n.process.exited() {
		return Final(fmt.Errorf("%s ended (%w): %s", n.Name(), n.process.result(), tail(n.LogFile())))
	}
	return err
}
