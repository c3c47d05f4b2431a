// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forward implements [replication.Backend].
func (e *Engine) Forward(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error) {
	_, s, err := e.roles.asSecondary("forwarding a request")
	if err != nil {
		return nil, err
	}
	if s.contested {
		return nil, replication.Errorf(replication.Unreachable, contestedSecondary)
	}
	if s.client == nil {
		return nil, replication.Errorf(replication.Unreachable, "this secondary has no primary: use update-primary with a "+
			"token of the primary")
	}
	answer, err := s.client.Forward(ctx, req.Payload)
	if err != nil {
		return nil, err
	}
	return &replication.ForwardResponse{Payload: answer}, nil
}
