// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// coded gives an error the HTTP status of its kind.
func coded(err error) error {
	if err == nil {
		return nil
	}
	return logical.CodedError(statusOf(replication.KindOf(err)), err.Error())
}

func statusOf(kind replication.Kind) int {
	switch kind {
	case replication.InvalidInput:
		return http.StatusBadRequest
	case replication.Denied:
		return http.StatusForbidden
	case replication.NotFound:
		return http.StatusNotFound
	case replication.Unavailable:
		return http.StatusServiceUnavailable
	case replication.Unreachable:
		return http.StatusBadGateway
	default:
		return http.StatusInternalServerError
	}
}

// codedSpent is coded for errors after an activation token was used up. Vault's
// clients try again by themselves after a 5xx; here that would only replace the
// error by "the token was used", so nothing above 400 is answered.
func codedSpent(err error) error {
	status := statusOf(replication.KindOf(err))
	if status > http.StatusNotImplemented || status == http.StatusForbidden {
		status = http.StatusBadRequest
	}
	return logical.CodedError(status, err.Error()+" (the activation token is used up: ask the primary for a new one)")
}

func invalid(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, format, args...)
}
