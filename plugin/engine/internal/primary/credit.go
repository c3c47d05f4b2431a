// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// credit is what may still be sent to one secondary. HTTP/2 windows count bytes that arrived. This counts frames that
// the secondary has stored. So the frames without an acknowledgement are bounded, whatever the network buffers.
//
// Only small frames are counted by their number. A frame that is far from full means that
// the secondary keeps up. Then the next one should wait and gather rows, because each frame
// costs the secondary a storage transaction. Full frames, which a catch-up is made of, are
// bounded in bytes alone.
type credit struct {
	maxBytes, maxFrames int

	mu       sync.Mutex
	epoch    replication.Epoch
	acked    uint64
	inFlight []frameSize
	bytes    int
	small    int
	room     chan struct{}
}

type frameSize struct {
	to    uint64
	bytes int
}

func newCredit(maxBytes, maxFrames int, after replication.Position) *credit {
	return &credit{maxBytes: maxBytes, maxFrames: maxFrames, epoch: after.Epoch, acked: after.Sequence,
		room: make(chan struct{}, 1)}
}

// fullFrame is the size from which a frame is not a small one.
const fullFrame = replication.PayloadTarget / 2

func (f frameSize) isSmall() bool { return f.bytes < fullFrame }

// wait returns when another frame may be sent. With nothing in flight it returns at once, so a frame larger than the
// window passes alone.
func (c *credit) wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		free := len(c.inFlight) == 0 || (c.small < c.maxFrames && c.bytes < c.maxBytes)
		c.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *credit) sent(f *replication.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := frameSize{f.To.Sequence, len(f.Payload)}
	c.inFlight = append(c.inFlight, size)
	c.bytes += size.bytes
	if size.isSmall() {
		c.small++
	}
}

// acknowledge takes back the credit of frames up to a position.
func (c *credit) acknowledge(at replication.Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.acked
	if n := len(c.inFlight); n > 0 {
		sent = c.inFlight[n-1].to
	}
	if at.Epoch != c.epoch || at.Sequence < c.acked || at.Sequence > sent {
		return replication.Errorf(replication.InvalidInput, "the secondary acknowledged %s, which was not sent to it", at)
	}
	c.acked = at.Sequence
	done := 0
	for done < len(c.inFlight) && c.inFlight[done].to <= at.Sequence {
		c.bytes -= c.inFlight[done].bytes
		if c.inFlight[done].isSmall() {
			c.small--
		}
		done++
	}
	c.inFlight = append(c.inFlight[:0], c.inFlight[done:]...)
	select {
	case c.room <- struct{}{}:
	default:
	}
	return nil
}
