// SPDX-License-Identifier: MPL-2.0

// Package operationtoken makes and checks DR operation tokens. A DR secondary asks for one
// before it promotes, disables or repoints itself, because it can check no other token.
//
// A token is made from a threshold of key shares ([Collector]), or it is an orphan batch
// token that was prepared on the primary. [Verifier] knows both. A generated token is
// stored as a hash alone and has no TTL. There is at most one: making another replaces it.
//
// [Handler] speaks the wire format of sys/generate-root, so that `vault operator
// generate-root -dr-token` works unchanged.
package operationtoken
