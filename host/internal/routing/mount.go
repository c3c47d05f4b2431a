// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
)

// Wrapped is a backend that stands in front of another one.
type Wrapped interface {
	logical.Backend
	// Unwrap is the backend behind.
	Unwrap() logical.Backend
}

// Forwarder brings a request to the primary. It returns when the primary has answered and
// this cluster has applied what the request changed, so that the client reads its own
// write. An error means that no answer came. Errors of the backend are in the answer.
type Forwarder interface {
	Do(ctx context.Context, req *wire.Request) (*wire.Answer, error)
}
