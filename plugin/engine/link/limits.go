// SPDX-License-Identifier: MPL-2.0

package link

import (
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Bounds of what is accepted from the other cluster, in bytes unless said
// otherwise.
const (
	// MessageMax is the largest message of a primary: one payload and its envelope.
	MessageMax = replication.PayloadMax + 1<<20
	// RequestMax is the largest message that a primary accepts of a secondary; a
	// larger one is refused by its length, before it is read.
	RequestMax = 256 << 10
	// SmallRequestMax bounds all requests but questions of a comparison and forwarded
	// ones.
	SmallRequestMax = 96 << 10
	// AckMax bounds the acknowledgements of a stream.
	AckMax = 4 << 10
	// StrangerMax bounds what is read in all from a connection that has no session: one
	// request, and what HTTP/2 adds.
	StrangerMax = 128 << 10
	// ForwardPart is the size from which a forwarded request is sent in parts.
	ForwardPart = 192 << 10
	// ForwardsMax bounds the forwarded requests of one secondary that are under way,
	// ForwardBytesMax the bytes of them. One request always fits alone. With a round trip
	// of 200 ms it is five thousand requests a second.
	ForwardsMax     = 1024
	ForwardBytesMax = 4 * replication.PayloadMax
	// olderForwardsMax is the bound of a primary that does not name ManyForwards.
	olderForwardsMax = 256
	// ForwardsWaiting is how many more wait at a secondary for their turn.
	ForwardsWaiting = 4096
	// otherCalls is how many calls a session needs besides forwarded requests, which must
	// never keep a heartbeat from being sent.
	otherCalls = 16
	// HandoverMax bounds the sealed handover.
	HandoverMax = 16 << 20
	// ChallengeMax bounds the challenge of a joining host.
	ChallengeMax = 64 << 10
	// KeyMax bounds the name of a storage key.
	KeyMax = 32 << 10
	// AddressesMax bounds how many addresses are kept.
	AddressesMax = 64
	// FailoverMax bounds the addresses of clusters that may take a primary's place: a
	// secondary that lost its primary tries them all at once.
	FailoverMax = 16
	// PeersMax bounds the API addresses of other secondaries. A secondary that is promoted
	// asks all of them at once.
	PeersMax = 16
	// epochIDMax bounds an epoch's id, fingerprintMax a fingerprint.
	epochIDMax     = 128
	fingerprintMax = 64
)

// ForwardWait is how long a forwarded request waits for its turn at most. It is shorter than the
// timeouts of clients, so that they learn why.
const ForwardWait = 10 * time.Second

// Windows and probes of the gRPC transport. gRPC's defaults (64 KiB windows, no
// client keepalive) starve a link with latency and never notice a half-open
// connection.
const (
	// StreamWindow is how much of a stream is fetched ahead of its reader: a few
	// payloads, which is also what overlaps fetching with applying.
	StreamWindow = 4 * replication.PayloadTarget
	// ConnWindow leaves room for heartbeats beside a full stream.
	ConnWindow = 2 * StreamWindow
	// KeepaliveTime is the silence after which a peer is probed.
	KeepaliveTime = 10 * time.Second
	// KeepaliveTimeout is how long it may take to answer that.
	KeepaliveTimeout = 10 * time.Second
	// KeepaliveMin is the shortest interval of probes that is tolerated.
	KeepaliveMin = 5 * time.Second
)
