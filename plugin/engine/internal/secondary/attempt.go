// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"errors"
	"time"

	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// attempt is one run from a Hello to an error: a copy if there must be one, then the
// stream. A session may have many, one after the other.
type attempt struct{ end context.CancelCauseFunc }

// attempt copies if it must and streams until it cannot go on.
func (c *Client) attempt(parent context.Context, s *session, progressed *bool) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	c.streaming.Store(&attempt{cancel})
	err := c.copyAndStream(ctx, s, progressed)
	if ctx.Err() != nil && parent.Err() == nil {
		// The cause says why it was ended.
		return c.lost(context.Cause(ctx))
	}
	return err
}

// interrupt ends an attempt; it does nothing to one that is over, or to none.
func (a *attempt) interrupt(why error) {
	if a != nil {
		a.end(why)
	}
}

// own is an error of this cluster's host, not of the link.
type own struct{ error }

func (o *own) Unwrap() error { return o.error }

func ownError(err error) error {
	if err == nil {
		return nil
	}
	return &own{err}
}

// stalls says whether an error stops the stream but not the link. Then another Hello over
// the same connection says how to go on.
func stalls(err error) bool {
	var host *own
	return errors.As(err, &host) || replication.KindOf(err) == replication.PositionLost
}

// again waits and asks the primary how to go on, over the same connection.
func (c *Client) again(ctx context.Context, s *session, why error) (*session, error) {
	delay := c.delay(why)
	c.status.stalled(why)
	c.logger.Warn("what the primary sends cannot be taken up now", "error", why, "retry_in",
		delay.Round(time.Millisecond).String())
	if err := pause.For(ctx, delay); err != nil {
		return nil, err
	}
	next, err := c.hello(ctx, s, false)
	if err != nil {
		return nil, err
	}
	if next.epoch != s.epoch {
		return nil, replication.Errorf(replication.Unavailable, "the primary began a new epoch %s", next.epoch)
	}
	return next, nil
}
