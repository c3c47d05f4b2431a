// SPDX-License-Identifier: MPL-2.0

// Package grpcplugin carries the contract of package replication over a process boundary,
// with go-plugin and gRPC.
//
// A plugin's main calls [Serve] with a function that makes its backend. A host dispenses
// [Plugin] from a go-plugin client and gets a [Client], which is a replication.Backend. The
// host's own implementation of replication.Host goes the other way, over one connection of
// go-plugin's broker for each process.
//
// Callers may rely on this at every hop, streams included:
//
//   - A [replication.Error] keeps its kind and its message.
//   - The end of the caller's context is context.Canceled or context.DeadlineExceeded, as
//     in a call within one process.
//   - A peer that died or went away is an Unavailable that names it.
//   - Any other failure is Internal.
//   - Sender and receiver both check the limits of the contract.
//
// The life of a plugin depends on the Attach stream, which the host holds open. When the
// host goes away in any manner, kill -9 included, the stream ends and the plugin exits.
package grpcplugin
