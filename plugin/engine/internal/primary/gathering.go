// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// gathering lets rows share frames while a primary gets many writes. A frame of one row costs host and plugin of both
// clusters as much as a frame of a hundred: a dozen wake-ups, and a storage transaction of the secondary.
//
// After a frame, the next one waits for the time that the frame's bytes take at the given rate. If fewer bytes come,
// that time is over before the next row comes, and nothing waits. If more come, each frame is larger than the one
// before and each wait is longer, up to the longest. After a full frame there is no wait: a secondary that catches up
// gets full frames as fast as it takes them.
type gathering struct {
	rate    int           // bytes a second; 0 for no waits
	longest time.Duration // of the waits
	until   time.Time
}

// sent notes a frame.
func (g *gathering) sent(f *replication.Frame) {
	size := frameSize{bytes: len(f.Payload)}
	if g.rate <= 0 || !size.isSmall() {
		return
	}
	wait := time.Duration(size.bytes) * time.Second / time.Duration(g.rate)
	g.until = time.Now().Add(min(wait, g.longest))
}

// wait returns when the next frame may be read.
func (g *gathering) wait(ctx context.Context) error {
	left := time.Until(g.until)
	if left <= 0 {
		return nil
	}
	if pause.For(ctx, left) != nil {
		return context.Cause(ctx)
	}
	return nil
}
