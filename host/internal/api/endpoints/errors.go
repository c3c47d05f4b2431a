// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// coding makes an operation of a handler, whose errors are of the contract.
func coding(handle call) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		resp, err := handle(ctx, req, d)
		return resp, coded(err)
	}
}

// coded gives an error the HTTP status of its kind. Of Vault's coded errors only this one
// reaches the client as its own sentence. The others become the one entry of a list ("1
// error occurred: ...").
func coded(err error) error {
	if err == nil {
		return nil
	}
	return &logical.ReplicationCodedError{Code: replication.KindOf(err).HTTPStatus(), Msg: err.Error()}
}

// spent is for errors after an activation token may have been used up. Vault's clients
// repeat a request by themselves after a 5xx. Here that would only replace the error by
// "the token was used", so the status is 400 at most.
func spent(err error, used bool) error {
	if err == nil || !used {
		return err
	}
	kind := replication.KindOf(err)
	switch kind {
	case replication.Unavailable, replication.Unreachable, replication.Denied:
		kind = replication.InvalidInput
	}
	return replication.Errorf(kind, "%w (the activation token is used up: ask the primary for a new one)", err)
}

func invalid(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, format, args...)
}
