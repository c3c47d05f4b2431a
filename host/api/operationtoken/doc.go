// SPDX-License-Identifier: MPL-2.0

// Package operationtoken makes and checks DR operation tokens: what a DR
// secondary asks for before it promotes, disables or repoints itself, since no
// other token can be used there.
//
// A token is made from a threshold of key shares ([Collector]), or it is an
// orphan batch token that was prepared on the primary. [Verifier] knows both.
// A generated token is stored only as a hash, has no TTL, and there is at most
// one: making another replaces it.
//
// [Handler] speaks the wire format of sys/generate-root, so that
// `vault operator generate-root -dr-token` works unchanged.
package operationtoken
