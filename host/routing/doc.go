// SPDX-License-Identifier: MPL-2.0

// Package routing forwards, from a performance secondary to its primary, the
// requests that a backend cannot carry out because they write shared storage. It
// is part of no request on any other cluster.
//
// # Sending
//
// A [Wrapper] stands in front of the backend of each mount, where the router
// holds it, built in or external. It runs the request locally; when the backend
// turns out to need to write shared storage, the request as it was before that
// attempt goes to the primary's backend of the same mount, and the response comes
// back. What makes the token, the lease or the wrapping token of a response is the
// secondary's core. Nothing of a local mount is ever forwarded.
//
// The backends of system, identity and tokens are asserted on by the core and
// cannot be wrapped. [DecorateForward] replaces the handlers of their paths, by
// the table [CorePaths].
//
// # How a refused write is recognised
//
// The storage guard refuses writes with logical.ErrReadOnly. A request is
// forwarded when
//
//   - the error is that error. An external plugin sends no more than its text over
//     gRPC: if it is that text alone, it is taken for it;
//   - its text is in the error, in an error response or in an "error" in the data, for
//     backends wrap it and make a string of it, and the guard did refuse a write
//     meanwhile. Text alone is none: a server that a backend talks to may say the
//     same of itself, and a client may have stored it;
//   - the guard noted a refusal in the context of the request
//     ([github.com/vault-replication/vault-replication/host/storage/refusal]) or,
//     for external plugins, counted one for the mount while the request ran, and
//     the operation is one that writes. So a write that a backend swallowed is
//     made, not lost. A count is not of one request alone: a request that ran
//     beside one that was refused may be carried out by the primary as well.
//
// A read that succeeds stays local, whatever the guard refused during it: most
// backends write a cache or an upgrade and go on without.
//
// # What is carried out twice
//
// Nothing of the built-in engines and auth methods: most write before they change
// anything outside of Vault or in their memory, so that a request that is forwarded
// has done nothing here. The table [ActFirst] names the operations that do not, and
// those are forwarded without being tried. For other engines this cannot be
// promised: one that changes the world and then writes does so on the secondary and
// again on the primary.
//
// # Receiving
//
// A [Receiver] on the primary lets nothing pass that its tables do not name, looks
// whether the mount is the same one, neither local nor filtered, audits the
// request under the secondary's name, runs it with no token and audits the
// response. What cannot be audited is refused.
package routing
