// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/vault/api"
)

// MigrateSeal gives a cluster of one node another kind of seal, nil for Shamir, as an
// operator does. It starts the server with the new configuration and gives it the present
// key shares, marked as for a migration. The shares stay.
func (c *Cluster) MigrateSeal(ctx context.Context, to *TransitSeal) error {
	ctx, cancel := within(ctx)
	defer cancel()
	if len(c.nodes) != 1 {
		return errors.New("cluster: the seal of a cluster of several nodes is not migrated here")
	}
	shares := c.GetBarrierOrRecoveryKeys()
	if err := c.Stop(ctx, true); err != nil {
		return err
	}
	if to == nil {
		c.leaving = c.opts.Seal
	}
	c.opts.Seal = to
	n := c.nodes[0]
	if err := n.writeConfig(); err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	c.SetBarrierKeys(shares)
	c.SetRecoveryKeys(shares)
	// The stanza of the former seal is for the one start of the migration.
	c.leaving = nil
	if err := n.writeConfig(); err != nil {
		return err
	}
	for _, key := range shares {
		status, err := n.Anonymous().Sys().UnsealWithOptionsWithContext(ctx, &api.UnsealOpts{Key: hex.EncodeToString(key),
			Migrate: true})
		if err != nil {
			return fmt.Errorf("migrating the seal of %s: %w", n.Name(), err)
		}
		if !status.Sealed {
			return c.WaitActive(ctx)
		}
	}
	return fmt.Errorf("the shares of %s did not complete the migration of its seal", c.opts.Name)
}

// SetMaxEntrySize restarts a cluster with another max_entry_size of Raft.
func (c *Cluster) SetMaxEntrySize(ctx context.Context, bytes int) error {
	c.opts.MaxEntrySize = bytes
	for _, n := range c.nodes {
		if err := n.writeConfig(); err != nil {
			return err
		}
	}
	return c.Restart(ctx, true)
}

func (n *Node) writeConfig() error {
	return os.WriteFile(n.path("vault.hcl"), []byte(n.config()), 0o600)
}
