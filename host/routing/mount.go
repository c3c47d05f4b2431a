// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/forward/wire"
)

// Mount is a mount as the router knows it.
type Mount struct {
	// Path is the path as routed: "secret/", "auth/approle/". A remount changes it
	// and leaves this one behind: requests name the present one.
	Path string
	// Class is "secret" or "auth".
	Class string
	// UUID and Accessor are the same on all clusters of a set.
	UUID, Accessor string
	// Type is the name of the plugin.
	Type string
	// Local mounts are of one cluster.
	Local bool
	// External says that the backend runs in a process of its own.
	External bool
	// StoragePrefix is where the mount's data is.
	StoragePrefix string
}

// The classes of mounts.
const (
	classAuth   = "auth"
	classSecret = "secret"
)

// Wrapped is a backend that stands in front of another one.
type Wrapped interface {
	logical.Backend
	// Unwrap is the backend behind.
	Unwrap() logical.Backend
}

// Forwarder brings a request to the primary. It returns when the primary has
// answered and this cluster has applied what the request changed, so that the
// client reads its own write. An error means that no answer came; errors of the
// backend are in the answer.
type Forwarder interface {
	Do(ctx context.Context, req *wire.Request) (*wire.Answer, error)
}
