// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// heartbeat calls the primary at intervals, whatever else the session does, and returns when no answer came in time.
// Nothing else notices a half-open connection.
func (c *Client) heartbeat(ctx context.Context, s *session) error {
	ticker := time.NewTicker(c.cfg.HeartbeatEvery)
	defer ticker.Stop()
	var roundTrip time.Duration
	for {
		var err error
		if roundTrip, err = c.beat(ctx, s, roundTrip); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (c *Client) beat(ctx context.Context, s *session, before time.Duration) (time.Duration, error) {
	// The timeout is shorter than LossAfter. So the primary hears from this end in time, even if its answers are stuck
	// behind bulk data.
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LossAfter/3)
	defer cancel()
	node, err := c.host.Node(ctx)
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			return before, nil
		}
		return 0, err
	}
	streaming := c.streaming.Load()
	sent, applied := time.Now(), c.status.position()
	resp, err := s.link.Heartbeat(ctx, &linkv1.HeartbeatRequest{
		Clock: sent.UnixNano(), Applied: mirror.Message[commonv1.Position](&applied), RoundTrip: int64(before),
		Node: link.ToNode(node),
	})
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			if s.active.Silence() < c.cfg.LossAfter {
				return before, nil
			}
			return 0, replication.Errorf(replication.Unreachable, "the primary at %s has not answered for %s", s.address,
				c.cfg.LossAfter)
		}
		err = link.FromStatus(err)
		if replication.KindOf(err) != replication.PositionLost {
			return 0, err
		}
		streaming.interrupt(err)
		return before, nil
	}
	received := time.Now()
	position, err := link.FromPosition(resp.GetPosition())
	if err != nil {
		return 0, err
	}
	fingerprint, err := link.FromFingerprint(resp.GetFingerprint())
	if err != nil {
		return 0, err
	}
	if position.Epoch != s.epoch {
		return 0, replication.Errorf(replication.Unavailable, "the primary began a new epoch %s", position.Epoch)
	}
	c.status.heard(position, time.Unix(0, resp.GetClock()), sent, received)
	c.learn(ctx, s.address, link.FromNode(resp.GetNode()))
	if len(fingerprint) > 0 {
		// Only a difference that a copy has to mend ends the attempt, and it does not end
		// the session. A fingerprint that the primary's host has not proven ends the
		// attempt too.
		switch err := c.host.Verify(ctx, position, fingerprint, resp.GetProof()); replication.KindOf(err) {
		case replication.PositionLost, replication.Denied:
			streaming.interrupt(err)
		}
	}
	return received.Sub(sent), nil
}

// learn keeps the addresses of the primary's nodes, and of clusters that may take its
// place, for the day when the one in use is gone.
func (c *Client) learn(ctx context.Context, used string, node link.NodeInfo) {
	c.status.node(node)
	if err := c.addresses.Learn(ctx, used, node); err != nil {
		c.logger.Warn("could not store the addresses of the primary", "error", err)
	}
	if err := c.known.learn(ctx, node); err != nil {
		c.logger.Warn("could not store whom to ask before a promotion", "error", err)
	}
}
