// SPDX-License-Identifier: MPL-2.0

package tunnel

import "time"

const (
	// ChunkSize is the largest number of bytes in a chunk.
	ChunkSize = 64 << 10
	// Linger is how long an end that has closed waits for the other end to
	// take what was written and to close too.
	Linger = 5 * time.Second
)

// Signal tells what follows the data of a chunk.
type Signal int

// The signals. Their numbers are those of the wire format.
const (
	// More data may follow.
	More Signal = 0
	// Fin says that no data follows in this direction.
	Fin Signal = 1
	// Close says that the sender neither writes nor reads any more.
	Close Signal = 2
)

// Chunk is one message of a stream.
type Chunk struct {
	Data   []byte
	Signal Signal
	// Refused says with Close why the other end refused the connection.
	Refused string
}

// Refuser is a connection that knows why its other end refused it. The reason is empty if it is unknown, or if the
// connection was not refused.
type Refuser interface{ Refused() string }

// refusedMax bounds that reason, in bytes.
const refusedMax = 1 << 10

// Stream is one end of a bidirectional stream of chunks. Send and Recv may each
// be called by one goroutine at a time. Both fail once the stream is cut.
type Stream interface {
	// Send sends a chunk. It waits while the other end does not receive, and does
	// not use the chunk's data after it has returned.
	Send(Chunk) error
	// Recv waits for a chunk. The caller may keep the data.
	Recv() (Chunk, error)
}
