// SPDX-License-Identifier: MPL-2.0

// Package routing forwards requests from a performance secondary to its primary, if a
// backend cannot carry them out because they write shared storage. On any other cluster it
// touches no request.
//
// # Sending
//
// A [Wrapper] stands in front of the backend of each mount, where the router holds it,
// built in or external. It runs the request locally. If the backend turns out to need to
// write shared storage, the request goes to the primary's backend of the same mount, as it
// was before that attempt, and the response comes back. The secondary's core makes the
// token, the lease or the wrapping token of the response. Nothing of a local mount is ever
// forwarded.
//
// The core asserts on the types of the backends of system, identity and tokens, so they
// cannot be wrapped. [DecorateForward] replaces the handlers of their paths, by the table
// [CorePaths].
//
// # How a refused write is recognised
//
// The storage guard refuses writes with logical.ErrReadOnly. A request is forwarded in each
// of these cases:
//
//   - The error is that error. An external plugin sends only its text over gRPC, so that
//     text alone counts as the error.
//   - Its text is in the error, in an error response or in an "error" in the data, and
//     the guard did refuse a write meanwhile. Backends wrap the error and make a string
//     of it. The text alone proves nothing: a server that a backend talks to may say the
//     same of itself, and a client may have stored it.
//   - The guard noted a refusal in the context of the request
//     ([github.com/vault-replication/vault-replication/host/storage/refusal]) or, for
//     external plugins, counted one for the mount while the request ran, and the
//     operation is one that writes. So a write that a backend swallowed is made, not
//     lost. A count does not belong to one request: a request that ran beside one that
//     was refused may be carried out by the primary as well.
//
// A read that succeeds stays local, whatever the guard refused during it. Most backends
// write a cache or an upgrade and go on without.
//
// # What is carried out twice
//
// Nothing of the built-in engines and auth methods. Most write before they change anything
// outside of Vault or in their memory, so a request that is forwarded has done nothing
// here. The table [ActFirst] names the operations that do not; they are forwarded without
// being tried. Other engines get no such promise: one that changes the world and then
// writes does so on the secondary and again on the primary.
//
// # Receiving
//
// A [Receiver] on the primary lets nothing pass that its tables do not name. It checks that
// the mount is the same one, neither local nor filtered. It audits the request under the
// secondary's name, runs it with no token and audits the response. A request that cannot be
// audited is refused.
package routing
