// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
)

// Rekey makes new unseal shares with the present ones, recovery shares with auto-unseal, and
// goes on with them.
func (c *Cluster) Rekey(ctx context.Context, shares, threshold int) error {
	active, err := c.Active(ctx)
	if err != nil {
		return err
	}
	sys := active.APIClient().Sys()
	begin, update, take := sys.RekeyInitWithContext, sys.RekeyUpdateWithContext, c.SetBarrierKeys
	if c.opts.Seal != nil {
		begin, update, take = sys.RekeyRecoveryKeyInitWithContext, sys.RekeyRecoveryKeyUpdateWithContext, c.SetRecoveryKeys
	}
	status, err := begin(ctx, &api.RekeyInitRequest{SecretShares: shares, SecretThreshold: threshold})
	if err != nil {
		return fmt.Errorf("beginning a rekey of %s: %w", c.opts.Name, err)
	}
	for _, key := range c.GetBarrierOrRecoveryKeys() {
		update, err := update(ctx, hex.EncodeToString(key), status.Nonce)
		if err != nil {
			return fmt.Errorf("giving a share to the rekey of %s: %w", c.opts.Name, err)
		}
		if !update.Complete {
			continue
		}
		var keys [][]byte
		for _, k := range update.KeysB64 {
			key, err := base64.StdEncoding.DecodeString(k)
			if err != nil {
				return fmt.Errorf("decoding a key share: %w", err)
			}
			keys = append(keys, key)
		}
		take(keys)
		c.opts.Shares, c.opts.Threshold = shares, threshold
		return nil
	}
	return fmt.Errorf("the shares of %s did not complete the rekey", c.opts.Name)
}

// TakeShares waits until this secondary has taken over the primary's key shares, and uses
// them from then on.
func (c *Cluster) TakeShares(ctx context.Context, primary *Cluster, kind testcluster.GenerateRootKind) error {
	token := c.GetRootToken()
	c.Adopt(primary)
	c.SetRootToken(token)
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, c.opts.Name+" has the key shares of its primary", func(context.Context) error { return c.try(kind) })
}

// RefusesShares returns an error if former shares still make a token.
func (c *Cluster) RefusesShares(keys [][]byte, kind testcluster.GenerateRootKind) error {
	present := c.GetBarrierOrRecoveryKeys()
	defer func() {
		c.SetBarrierKeys(present)
		c.SetRecoveryKeys(present)
	}()
	c.SetBarrierKeys(keys)
	c.SetRecoveryKeys(keys)
	if err := c.try(kind); err == nil {
		return errors.New("the key shares of before still make a token on " + c.opts.Name)
	}
	return nil
}

// try makes a token of the key shares.
func (c *Cluster) try(kind testcluster.GenerateRootKind) error {
	sys := c.nodes[0].APIClient().Sys()
	// An attempt that was left half done would be in the way.
	cancel := sys.GenerateRootCancel
	if kind == testcluster.GenerateRootDR {
		cancel = sys.GenerateDROperationTokenCancel
	}
	if err := cancel(); err != nil {
		return err
	}
	_, err := testcluster.GenerateRoot(c, kind)
	return err
}
