// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/host/internal/operation"
)

// raftPaths are raft administration. On a DR secondary Vault lets requests without a token
// through to them, because Enterprise checks a dr_operation_token there.
var raftPaths = []string{
	"storage/raft/configuration",
	"storage/raft/remove-peer",
	"storage/raft/autopilot/state",
	"storage/raft/autopilot/configuration",
}

// guardRaft makes those paths check the token themselves. The gate in front has checked it
// already. The paths exist with raft storage alone.
func (h *handlers) guardRaft(byPattern map[string]*framework.Path) {
	for _, pattern := range raftPaths {
		p := byPattern[pattern]
		if p == nil {
			continue
		}
		if p.Fields == nil {
			p.Fields = map[string]*framework.FieldSchema{}
		}
		if p.Fields[tokenField] == nil {
			p.Fields[tokenField] = text("DR operation token used to authorize this request (if a DR secondary node).")
		}
		for op, handler := range p.Operations {
			p.Operations[op] = operation.Around(handler, h.guarded)
		}
	}
}

func (h *handlers) guarded(next framework.OperationFunc) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		if !h.Controller.Inert() {
			return next(ctx, req, d)
		}
		token, _ := d.Get(tokenField).(string)
		if err := h.Tokens.Allow(operationtoken.WithinCore(ctx), token, useOf(req)); err != nil {
			return nil, coded(err)
		}
		return next(ctx, req, d)
	}
}
