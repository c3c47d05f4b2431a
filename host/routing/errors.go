// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// coded is an error whose status and text reach the client as they are. Of
// Vault's coded errors only this one passes the core's own lists of errors
// without being put into a list itself.
func coded(status int, format string, args ...any) error {
	return &logical.ReplicationCodedError{Code: status, Msg: fmt.Sprintf(format, args...)}
}

// noAnswer says why a forwarded request has none. That the primary carried it out
// all the same cannot be ruled out, and the client must know.
func noAnswer(ctx context.Context, err error) error {
	var own *logical.ReplicationCodedError
	switch {
	case errors.As(err, &own):
		return own
	case ctx.Err() != nil:
		// The core hands its backends no deadline: when the listener's limit for a
		// request has passed, the context is cancelled, as for a client that has gone,
		// which reads no answer.
		return coded(http.StatusGatewayTimeout, "the primary cluster did not answer this write in time: it may have been carried out, read before you repeat it")
	}
	switch replication.KindOf(err) {
	case replication.InvalidInput:
		return coded(http.StatusBadRequest, "this request cannot be forwarded to the primary cluster: %v", err)
	case replication.Unreachable:
		return coded(http.StatusServiceUnavailable, "this cluster is a performance secondary and cannot reach its primary, which did not carry out this write (%v): see sys/replication/performance/status, and try again later", err)
	case replication.Unavailable:
		return coded(http.StatusServiceUnavailable, "this cluster is a performance secondary and its primary cannot answer this write now (%v): see sys/replication/performance/status, and read before you repeat it", err)
	default:
		return coded(http.StatusBadGateway, "this cluster is a performance secondary and could not get its primary's answer to this write (%v): see sys/replication/performance/status, and read before you repeat it", err)
	}
}

// errPrimaryReadOnly is the answer of a cluster that was the primary.
var errPrimaryReadOnly = coded(http.StatusBadGateway, "the primary cluster refused this write because it cannot write itself: it may have been demoted, see sys/replication/performance/status on both clusters")
