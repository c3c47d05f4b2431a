// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// stream applies frames after the cursor until the link fails.
func (c *Client) stream(ctx context.Context, s *session, progressed *bool) error {
	if s.cursor.Copying || s.cursor.Position.Epoch != s.epoch {
		return replication.Errorf(replication.Internal, "the host's position %s is not one of the primary's epoch %s",
			s.cursor.Position, s.epoch)
	}
	st, err := s.link.Stream(ctx)
	if err != nil {
		return link.FromStatus(err)
	}
	after := mirror.Message[commonv1.Position](&s.cursor.Position)
	start := &linkv1.StreamRequest_Start{Start: &linkv1.StreamStart{After: after, Proof: s.cursor.Proof}}
	// io.EOF says that the stream has ended; Recv says why.
	if err := st.Send(&linkv1.StreamRequest{Message: start}); err != nil && !errors.Is(err, io.EOF) {
		return link.FromStatus(err)
	}
	c.status.streaming(c.mended)
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	fetching.Go(func() { c.fetchMissing(ctx, s) })
	defer fetching.Wait()
	defer cancel()
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return replication.Errorf(replication.Unreachable, "the primary ended the stream")
		}
		if err != nil {
			return c.lost(link.FromStatus(err))
		}
		if m.GetDemoted() {
			return c.bereft(ctx)
		}
		f, err := link.FromFrame(m.GetFrame())
		if err != nil {
			return err
		}
		if f.To.Epoch != s.epoch {
			return replication.Errorf(replication.Unavailable, "the primary began a new epoch %s", f.To.Epoch)
		}
		if f.After > s.cursor.Position.Sequence {
			return c.gap(s.cursor.Position, f.After)
		}
		cursor, err := c.host.ApplyFrame(ctx, f)
		if err != nil {
			return ownError(c.applyFailed(ctx, s, err))
		}
		*progressed = true
		s.cursor = cursor
		c.status.applied(cursor)
		at := cursor.Position
		if at.Sequence > f.To.Sequence {
			at = f.To // an apply of the former session has landed, beyond what this session has sent
		}
		ack := &linkv1.StreamRequest_Ack{Ack: &linkv1.Ack{Position: mirror.Message[commonv1.Position](&at),
			Proof: cursor.Proof}}
		if err := st.Send(&linkv1.StreamRequest{Message: ack}); err != nil && !errors.Is(err, io.EOF) {
			return link.FromStatus(err)
		}
	}
}

// bereft notes that the primary was demoted.
func (c *Client) bereft(ctx context.Context) error {
	if err := c.known.leave(ctx); err != nil {
		c.logger.Warn("could not store that the primary was demoted", "error", err)
	}
	return replication.Errorf(replication.Unavailable, "%s", demotedText)
}

const demotedText = "the primary was demoted: promote a cluster of the set, and use update-primary with a token of " +
	"it on the others"

// lost notes that only a copy can help. The next session then begins one.
func (c *Client) lost(err error) error {
	if replication.KindOf(err) != replication.PositionLost {
		return err
	}
	c.copyWanted, c.copyReason = true, err.Error()
	if n := c.status.copiesInRow(); n >= 2 {
		return replication.Errorf(replication.PositionLost, "%d copies in a row did not hold (%w): raise the retention of "+
			"the primary's journal, or look for what slows this cluster's storage", n, err)
	}
	return err
}

// gap handles a frame that does not follow the cursor. Asking the primary again from the
// cursor mends a lost frame. The same gap a second time is a hole in the primary's journal,
// which only a copy mends.
func (c *Client) gap(at replication.Position, after uint64) error {
	err := replication.Errorf(replication.PositionLost, "the primary sent what follows sequence %d, this secondary has "+
		"applied %d", after, at.Sequence)
	if c.gapAt == at {
		return c.lost(err)
	}
	c.gapAt = at
	return err
}

// applyFailed looks whether the host's cursor has moved. If it has, the primary is asked again. If not, the host
// refused the frame that follows the cursor, and only a copy brings the missing keys (more of the primary is replicated
// here than before).
func (c *Client) applyFailed(ctx context.Context, s *session, err error) error {
	if replication.KindOf(err) != replication.PositionLost {
		return err
	}
	now, cursorErr := c.host.Cursor(ctx)
	if cursorErr != nil {
		return cursorErr
	}
	if now.Position.Epoch.IsZero() && !now.Copying {
		return c.lost(err) // the frame was applied, but the content differs from the primary's
	}
	if now.Position != s.cursor.Position || now.Copying {
		return replication.Errorf(replication.Unavailable, "the host's position has changed from %s to %s: %w",
			s.cursor.Position, now.Position, err)
	}
	return c.lost(err)
}
