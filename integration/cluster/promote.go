// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
)

// OperationToken makes a DR operation token from the cluster's key shares.
func (c *Cluster) OperationToken() (string, error) {
	return testcluster.GenerateRoot(c, testcluster.GenerateRootDR)
}

// Promote makes the DR secondary a primary with a token made from key shares,
// trying again while it answers 503.
func (c *Cluster) Promote(ctx context.Context) error {
	token, err := c.OperationToken()
	if err != nil {
		return err
	}
	return c.PromoteWith(ctx, map[string]any{"dr_operation_token": token})
}

// PromoteWith is Promote with the parameters of the call.
func (c *Cluster) PromoteWith(ctx context.Context, params map[string]any) error {
	ctx, cancel := within(ctx)
	defer cancel()
	n := c.nodes[0]
	err := Wait(ctx, n.Name()+" is promoted", func(ctx context.Context) error {
		_, err := n.Anonymous().Logical().WriteWithContext(ctx, PathSecondaryPromote, params)
		var response *api.ResponseError
		if errors.As(err, &response) && response.StatusCode != http.StatusServiceUnavailable {
			return Final(err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return n.WaitRole(ctx, "primary")
}
