// SPDX-License-Identifier: MPL-2.0

// Package rolechange stands in front of everything that a node serves, while the role of
// its cluster changes and while its cluster has no active node.
//
// A change that restarts the core has it to itself. Before it begins, [Gate.Hold] keeps
// new requests out and those under way are waited for, so that none of them meets a core
// that is half sealed. Nobody can wait for a stream: streams are ended at once, and whatever
// else takes long after a while, first by its context, then by its connection.
//
// Meanwhile the node answers for itself what can be told without the core ([Own]): the
// status of replication, sys/health and sys/leader. Other requests wait until the node
// serves again. What has waited for too long is answered with 503 and Retry-After.
//
// A standby that knows no active node waits in the same way, for Vault would answer 500.
package rolechange
