// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"errors"
	"io"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// copy makes this cluster's content that of the primary. A copy that cannot go on
// where it is begins anew with the next session.
func (c *Client) copy(ctx context.Context, s *session, progressed *bool) error {
	if err := c.copyRanges(ctx, s, progressed); err != nil {
		return c.lost(err)
	}
	return nil
}

// copyRanges is one copy or the rest of one. The transport fetches about four
// ranges ahead while one is applied (link.StreamWindow).
func (c *Client) copyRanges(ctx context.Context, s *session, progressed *bool) error {
	after := ""
	if s.decision == linkv1.Decision_DECISION_COPY {
		if !s.cursor.Position.Epoch.IsZero() && s.cursor.Position.Epoch == s.epoch {
			c.mended = c.whyCopied(s)
		}
		if err := c.host.BeginCopy(ctx, s.from); err != nil {
			return err
		}
		c.copyWanted, c.copyReason = false, ""
		s.cursor = &replication.Cursor{Position: s.cursor.Position, Copying: true, CopyFrom: s.from}
		c.logger.Info("copying the primary's content", "from", s.from.String(), "keys", s.keys)
	} else {
		after = s.cursor.CopiedUpTo
		c.logger.Info("going on with a copy", "from", s.from.String(), "copied", s.cursor.CopiedKeys)
	}
	c.status.copying(s, s.decision == linkv1.Decision_DECISION_COPY)
	st, err := s.link.Copy(ctx, &linkv1.CopyRequest{After: after})
	if err != nil {
		return link.FromStatus(err)
	}
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return replication.Errorf(replication.Unreachable, "the primary ended the copy before its end")
		}
		if err != nil {
			return link.FromStatus(err)
		}
		r, err := link.FromRange(m.GetRange(), after)
		if err != nil {
			return err
		}
		cursor, err := c.host.ApplyRange(ctx, r)
		if err != nil {
			return err
		}
		*progressed = true
		s.cursor = cursor
		c.status.applied(cursor)
		if r.Last {
			break
		}
		after = r.UpTo
	}
	cursor, err := c.host.EndCopy(ctx)
	if err != nil {
		return err
	}
	s.cursor = cursor
	c.status.applied(cursor)
	c.logger.Info("copied the primary's content", "position", cursor.Position.String(), "consistent_from", cursor.ConsistentFrom)
	return nil
}

// whyCopied is what the status shows of a copy that nobody asked for.
func (c *Client) whyCopied(s *session) string {
	if c.copyReason != "" {
		return "the primary's content was copied again: " + c.copyReason
	}
	return "the primary no longer had the changes after position " + s.cursor.Position.String() + ", so its content was copied again"
}
