// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// NewTransitSeal makes a key in the provider's transit engine and says how to
// seal other clusters with it.
func NewTransitSeal(ctx context.Context, provider *Cluster, key string) (*TransitSeal, error) {
	client := provider.Node(0).APIClient()
	mounts, err := client.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if mounts["transit/"] == nil {
		if err := client.Sys().MountWithContext(ctx, "transit", &api.MountInput{Type: "transit"}); err != nil {
			return nil, fmt.Errorf("mounting transit on the seal provider: %w", err)
		}
	}
	if _, err := client.Logical().WriteWithContext(ctx, "transit/keys/"+key, nil); err != nil {
		return nil, fmt.Errorf("making the seal key: %w", err)
	}
	return &TransitSeal{
		Address: provider.Node(0).Address(),
		Token:   provider.GetRootToken(),
		KeyName: key,
		CAFile:  provider.GetCACertPEMFile(),
	}, nil
}
