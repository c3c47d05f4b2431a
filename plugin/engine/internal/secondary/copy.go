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

// copy makes this cluster's content equal to the primary's. A copy that cannot continue
// begins anew with the next session.
func (c *Client) copy(ctx context.Context, s *session, progressed *bool) error {
	if err := c.bring(ctx, s, progressed); err != nil {
		return c.lost(err)
	}
	return nil
}

// bring makes one copy, or the rest of one: by a comparison, or by a stream of everything
// where there is next to nothing to compare.
func (c *Client) bring(ctx context.Context, s *session, progressed *bool) error {
	if s.decision == linkv1.Decision_DECISION_COPY {
		if c.copyReason != "" || (!s.cursor.Position.Epoch.IsZero() && s.cursor.Position.Epoch == s.epoch) {
			c.mended = c.whyCopied(s)
		}
		cursor, err := c.host.BeginCopy(ctx, s.from)
		if err != nil {
			return ownError(err)
		}
		c.copyWanted, c.copyReason = false, ""
		s.cursor = cursor
	}
	c.status.beginCopy(s, s.decision == linkv1.Decision_DECISION_COPY)
	done, err := c.diff(ctx, s, progressed)
	if err == nil && !done {
		err = c.copyRanges(ctx, s, progressed)
	}
	if err != nil {
		return err
	}
	cursor, err := c.host.EndCopy(ctx)
	if err != nil {
		return ownError(err)
	}
	s.cursor = cursor
	c.status.applied(cursor)
	c.logger.Info("this cluster has the primary's content", "position", cursor.Position.String(), "consistent_from",
		cursor.ConsistentFrom, "compared", done)
	return nil
}

// copyRanges streams the key space. The transport fetches about four ranges ahead
// while one is applied (link.StreamWindow).
func (c *Client) copyRanges(ctx context.Context, s *session, progressed *bool) error {
	after := s.cursor.CopiedUpTo
	c.logger.Info("copying the primary's content", "from", s.from.Position.String(), "keys", s.keys, "copied",
		s.cursor.CopiedKeys)
	c.status.copying(s)
	st, err := s.link.Copy(ctx, &linkv1.CopyRequest{After: []byte(after), Proof: s.cursor.Proof})
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
			return ownError(err)
		}
		*progressed = true
		s.cursor = cursor
		c.status.copied(cursor, r)
		if r.Last {
			return nil
		}
		after = r.UpTo
	}
}

// whyCopied is what the status says of a copy that no operator asked for.
func (c *Client) whyCopied(s *session) string {
	if c.copyReason != "" {
		return "the content was compared and mended: " + c.copyReason
	}
	return "the primary no longer had the changes after position " + s.cursor.Position.String() +
		", so the content was compared and mended"
}
