// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// Rekey makes a new root key and new unseal shares with the present ones, and
// goes on with the new shares. It is for clusters with a Shamir seal.
func (c *Cluster) Rekey(ctx context.Context, shares, threshold int) error {
	active, err := c.Active(ctx)
	if err != nil {
		return err
	}
	sys := active.APIClient().Sys()
	status, err := sys.RekeyInitWithContext(ctx, &api.RekeyInitRequest{SecretShares: shares, SecretThreshold: threshold})
	if err != nil {
		return fmt.Errorf("beginning a rekey of %s: %w", c.opts.Name, err)
	}
	for _, key := range c.GetBarrierKeys() {
		update, err := sys.RekeyUpdateWithContext(ctx, hex.EncodeToString(key), status.Nonce)
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
		c.SetBarrierKeys(keys)
		c.opts.Shares, c.opts.Threshold = shares, threshold
		return nil
	}
	return fmt.Errorf("the shares of %s did not complete the rekey", c.opts.Name)
}
