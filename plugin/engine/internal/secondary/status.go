// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/lag"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Snapshot is what a client knows of its link at one moment.
type Snapshot struct {
	State      replication.State
	Connection replication.ConnectionState
	// Connected says that a session is live.
	Connected bool
	// Address is the one in use, or used last.
	Address string
	Known   []string
	// Failover are the addresses that are tried when the primary is gone.
	Failover []string
	Node     link.NodeInfo

	LastStart, LastHeartbeat time.Time
	// LastEnd is when the last session ended, zero while none has.
	LastEnd         time.Time
	RoundTrip, Skew time.Duration
	CanaryAge       time.Duration
	// SyncProgress and SyncTotal count keys of a copy under way.
	SyncProgress, SyncTotal uint64
	LastError               string
	// Position is the primary's, as far as it is known.
	Position replication.Position
}

// status is a snapshot in the making.
type status struct {
	mu     sync.Mutex
	s      Snapshot
	cursor replication.Cursor
	lag    lag.Tracker
	// copies counts the copies since a stream last proved that a copy was good: by a frame that was applied, or by a
	// stream that settled without one.
	copies int
	settle time.Duration
	// left is how many keys of the copy under way are still to come, as far as the primary has said. A
	// session that goes on with the copy begins with it.
	left uint64
	// streamSince and streamTarget belong to the stream under way. holds says that it
	// outlived a heartbeat and caught up.
	streamSince  time.Time
	streamTarget uint64
	holds        bool
	framesCame   bool
	mended       string
}

// Snapshot reports the link.
func (c *Client) Snapshot() Snapshot {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	s := c.status.s
	s.Known, s.Failover = c.addresses.Known(), c.addresses.Failover()
	s.CanaryAge = c.status.lag.Age(c.status.cursor.Position, time.Now().Add(s.Skew))
	return s
}

func (t *status) connecting() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Connection = replication.ConnConnecting
}

func (t *status) connected(s *session, position replication.Position, node link.NodeInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Connection, t.s.Connected = replication.ConnReady, true
	t.s.Address, t.s.Node, t.s.Position = s.address, node, position
	t.s.LastStart = time.Now()
	t.cursor = *s.cursor
	t.holds = false
}

// heard records a point of the primary's clock and position.
func (t *status) heard(position replication.Position, clock, sent, received time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	roundTrip := received.Sub(sent)
	t.s.LastHeartbeat, t.s.RoundTrip = received, roundTrip
	t.s.Skew = clock.Add(roundTrip / 2).Sub(received)
	t.s.Position = position
	t.lag.Observe(position, clock)
	caughtUp := t.cursor.AtOnePosition() && t.cursor.Position.Sequence >= t.streamTarget
	if t.s.State == replication.StreamWALs && sent.After(t.streamSince) && caughtUp {
		t.holds = true
		t.s.LastError = t.mended
		if t.framesCame || received.Sub(t.streamSince) >= t.settle {
			t.copies = 0
		}
	}
}

func (t *status) node(n link.NodeInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Node = n
}

// beginCopy counts a copy, which may turn out to be a comparison.
func (t *status) beginCopy(s *session, anew bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if anew {
		t.copies++
		t.left = 0
	}
	t.cursor = *s.cursor
	t.s.State = replication.MerkleDiff
	t.s.SyncProgress, t.s.SyncTotal = 0, 0
}

func (t *status) copying(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor = *s.cursor
	t.s.State = replication.MerkleSync
	if t.left == 0 && s.keys > s.cursor.CopiedKeys {
		t.left = s.keys - s.cursor.CopiedKeys
	}
	t.count(s.cursor, t.left > 0)
}

// copied shows a range that was applied, and what its primary says of those that follow.
func (t *status) copied(c *replication.Cursor, r *replication.Range) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor = *c
	switch {
	case r.Last || r.Left > 0:
		t.left = r.Left
	default: // the primary is of a release that does not say it
		t.left -= min(t.left, r.Keys)
	}
	t.count(c, r.Last || r.Left > 0)
}

// count shows how far a copy is. Its total is never less than what was copied, and that in the end.
// It is 0 until something is known of it.
func (t *status) count(c *replication.Cursor, known bool) {
	t.s.SyncProgress = c.CopiedKeys
	if known || t.s.SyncTotal > 0 {
		t.s.SyncTotal = c.CopiedKeys + t.left
	}
}

// comparing shows a step of a comparison.
func (t *status) comparing(step *replication.DiffStep) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor = *step.Cursor
	t.s.State = replication.MerkleDiff
	if step.Synced < step.Differing {
		t.s.State = replication.MerkleSync
	}
	// Keys may have come on the primary since they were counted.
	t.s.SyncProgress, t.s.SyncTotal = step.Synced, max(step.Synced, step.Differing)
}

func (t *status) streaming(mended string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.State = replication.StreamWALs
	t.s.SyncProgress, t.s.SyncTotal = 0, 0
	t.streamSince, t.streamTarget = time.Now(), t.s.Position.Sequence
	t.framesCame, t.mended = false, mended
}

func (t *status) applied(c *replication.Cursor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor = *c
	t.framesCame = t.s.State == replication.StreamWALs
}

// stalled shows why nothing is taken up in a session that is live.
func (t *status) stalled(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.State = replication.Idle
	t.s.SyncProgress, t.s.SyncTotal = 0, 0
	t.s.LastError = err.Error()
}

// missing says whether this cluster's storage has refused keys of the primary.
func (t *status) missing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cursor.Missing > 0
}

// fetched notes what is still missing. The stream moves the position.
func (t *status) fetched(c *replication.Cursor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor.Missing = c.Missing
	t.cursor.ConsistentFrom = max(t.cursor.ConsistentFrom, c.ConsistentFrom)
}

// failed shows why there is no session. note says why there is none with the clusters that could take the primary's
// place.
func (t *status) failed(err error, note string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.s.Connected {
		t.s.LastEnd = time.Now()
	}
	t.s.State, t.s.Connection, t.s.Connected = replication.Idle, replication.ConnTransientFailure, false
	t.s.SyncProgress, t.s.SyncTotal = 0, 0
	t.s.LastError = err.Error()
	if note != "" {
		t.s.LastError += "; " + note
	}
}

// why is the reason why there is no session. Empty if there was no attempt yet.
func (t *status) why() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.s.LastError
}

func (t *status) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.State, t.s.Connection, t.s.Connected = replication.Idle, replication.ConnShutdown, false
}

func (t *status) copiesInRow() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.copies
}

func (t *status) held() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holds
}

func (t *status) position() replication.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cursor.Position
}
