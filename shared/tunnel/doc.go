// SPDX-License-Identifier: MPL-2.0

// Package tunnel carries a network connection over a bidirectional stream of
// messages, such as a gRPC stream between the host and a plugin.
//
// The plugin's end is a [Conn], a complete net.Conn. The host's end has a real
// connection already and joins it to the stream with [Splice].
//
// # Protocol
//
// Each direction is a sequence of chunks of at most [ChunkSize] bytes, then a Fin if the sender half-closed, then
// exactly one Close. A Close says that its sender neither writes nor reads any more. The other end answers with its own
// Close at once. The stream may end when both have been sent, and not before: gRPC drops what is in flight when a
// stream is cancelled, and the peer's Close is the proof that it has received everything. An end that gets no answer
// within [Linger] gives up and cuts the stream.
//
// # Memory
//
// A Conn holds at most two chunks to send and [inboxChunks] chunks received.
// When they are full the sender waits: backpressure goes through the stream's
// own flow control to the other end's Write.
package tunnel
