// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// coded gives an error the HTTP status of its kind. Of Vault's coded errors only this one
// reaches the client as its own sentence. The others become the one entry of a list ("1
// error occurred: ...").
func coded(err error) error {
	if err == nil {
		return nil
	}
	return &logical.ReplicationCodedError{Code: replication.KindOf(err).HTTPStatus(), Msg: err.Error()}
}

// codedSpent is coded for errors after an activation token was used up. Vault's clients
// repeat a request by themselves after a 5xx. Here that would only replace the error by
// "the token was used", so the status is 400 at most.
func codedSpent(err error) error {
	status := replication.KindOf(err).HTTPStatus()
	if status > http.StatusNotImplemented || status == http.StatusForbidden {
		status = http.StatusBadRequest
	}
	return &logical.ReplicationCodedError{Code: status, Msg: err.Error() + " (the activation token is used up: ask the " +
		"primary for a new one)"}
}

func invalid(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, format, args...)
}
