// SPDX-License-Identifier: MPL-2.0

// Package rolechange stands in front of everything that a node serves, while the role of
// its cluster changes and while its cluster has no active node.
//
// A change that restarts the core must not meet requests. Before it begins, [Gate.Hold]
// keeps new requests out and waits for those under way, so that none of them sees a core
// that is half sealed. A stream may last for ever, so streams are ended at once. Any other
// request that takes too long is ended too, first by its context, then by its connection.
//
// Meanwhile the node answers by itself what it can tell without the core ([Own]): the
// status of replication, sys/health and sys/leader. Other requests wait until the node
// serves again. A request that has waited too long is answered with 503 and Retry-After.
//
// Requests to a standby that knows no active node wait in the same way. Vault would answer
// 500.
package rolechange
