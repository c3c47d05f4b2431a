// SPDX-License-Identifier: MPL-2.0

// Package wire encodes the logical requests that one host sends to another, and their answers. It keeps what the
// protobuf of Vault's plugins would lose: the class of an error, large integers, the types of values, wrapping,
// deadlines.
//
// # Form
//
// A message is one byte of version and a JSON object. Struct fields carry their
// Go names and those that are zero are absent, so that a host of another build
// still reads what both know. JSON alone would change values on the way, hence:
//
//   - numbers keep their digits, they are never turned into float64,
//   - a string that is not UTF-8 is {"b": base64}, and a map with such a key is a
//     list of pairs,
//   - a value of an interface{} whose type JSON does not have is an object with
//     its type, {"$": "duration", "v": 5}; an object of the caller's that has a
//     key "$" itself is {"$": "map", "v": {...}},
//   - a value of any other type (for example a struct) becomes what encoding/json makes of it, because a client sees no
//     more of it in any case.
//
// # Errors
//
// An error is a tree of its text, its class and what it wraps. Decoding gives
// the very sentinels of the sdk back, so that comparisons by ==, by errors.Is and
// by errwrap hold, and types that Vault asks for (coded errors, bad requests,
// multierror). Other error types keep their text and what they wrap.
//
// # What does not travel
//
// Nothing that is a token: not the client's (salted or not), not the one inside Auth or WrapInfo, not the headers that
// carry it. Nothing that is bound to a process: storage, the response writer, the token entry. The tables in leftout.go
// have each field with its reason; a test fails when the sdk grows a field that is neither carried nor in them. Of a
// TLS connection the certificates, version and names travel. A request that reads a loaded raft snapshot is refused:
// the snapshot is on one cluster only. An error that delegates authentication is its text only, since its handler is
// code. The sender does not see what a handler changes in its request.
package wire

import (
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Request is a logical request that a performance secondary has authenticated and
// authorised, and that its primary's backend has to carry out.
type Request struct {
	// Logical is the request as the secondary's router gave it to the backend: its
	// path is relative to the mount. Its tokens are not sent.
	Logical *logical.Request
	// MountPath, MountUUID and MountAccessor name the mount. The primary refuses a
	// request whose mount is not the same one there.
	MountPath, MountUUID, MountAccessor string
	// ClientHeaders are the headers of the client's request, for the audit log. Those that
	// carry a token are not sent. Logical has those that the backend asked for.
	ClientHeaders map[string][]string
	// Timeout is what is left of the client's deadline; 0 is none.
	Timeout time.Duration
}

// Answer is what the primary's backend returned for a Request: a response, an error, or
// both.
type Answer struct {
	Response *logical.Response
	Err      error
}
