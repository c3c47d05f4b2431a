// SPDX-License-Identifier: MPL-2.0

// Package wire turns what one host asks of another into bytes: logical requests
// and their answers, with what plain protobuf of Vault's plugins would lose (the
// class of an error, large integers, wrapping, deadlines).
package wire

import (
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Request is a logical request that a performance secondary has authenticated and
// authorised and that its primary's backend is to carry out.
type Request struct {
	// Logical is the request as the secondary's router gave it to the backend: its
	// path is relative to the mount, and it carries no client token.
	Logical *logical.Request
	// MountPath, MountUUID and MountAccessor name the mount. The primary refuses a
	// request whose mount is not the same one there.
	MountPath, MountUUID, MountAccessor string
	// Timeout is what is left of the client's deadline.
	Timeout time.Duration
}

// Answer is what came of a Request: what the primary's backend returned, an error
// beside the response included.
type Answer struct {
	Response *logical.Response
	Err      error
}
