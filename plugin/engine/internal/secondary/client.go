// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Config has the times of a client.
type Config struct {
	// HeartbeatEvery is the interval of heartbeats, LossAfter the silence after
	// which the link counts as lost.
	HeartbeatEvery, LossAfter time.Duration
	// DialTimeout bounds connecting to one address, CallTimeout the handshake
	// after it. After DialPatience the next address is tried as well.
	DialTimeout, CallTimeout, DialPatience time.Duration
	// RetryMin and RetryMax bound the delay between two attempts.
	RetryMin, RetryMax time.Duration
	// RefusedRetry is the delay after a refusal. Only an operator can end a refusal.
	RefusedRetry time.Duration
	// CopyRetryMin and CopyRetryMax bound the delay after copies that had to be repeated.
	CopyRetryMin, CopyRetryMax time.Duration
	// FetchEvery is how often the client asks the host whether it wants to fetch keys that
	// it lacks.
	FetchEvery time.Duration
}

// Client follows one primary.
type Client struct {
	cfg       Config
	host      replication.Host
	logger    hclog.Logger
	bundle    *trust.Bundle
	addresses *Addresses
	known     knowledge
	status    status

	// live is the session that carries forwarded requests, nil between sessions.
	live atomic.Pointer[session]
	// streaming is the attempt that is under way.
	streaming atomic.Pointer[attempt]

	// Only Run uses these.

	retry *backoff.ExponentialBackOff
	// copyWanted says that the stream cannot go on from the cursor. copyReason says why.
	copyWanted bool
	copyReason string
	// gapAt is where a frame did not follow. It tells a lost frame from a hole.
	gapAt replication.Position
	// mended is the last error to show once all is well again.
	mended string
	// moved is a session with a cluster that has taken the primary's place. It replaces the
	// next attempt. note says why there is none.
	moved *session
	note  string
}

// NewClient makes a client; Run lets it work.
func NewClient(cfg Config, host replication.Host, logger hclog.Logger, bundle *trust.Bundle, addresses *Addresses,
	known Known) *Client {
	c := &Client{cfg: cfg, host: host, logger: logger, bundle: bundle, addresses: addresses}
	c.retry = backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(cfg.RetryMin), backoff.WithMaxInterval(cfg.RetryMax),
		backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.5), backoff.WithMaxElapsedTime(0))
	c.known = knowledge{newRecord(host, KnownKey, known)}
	c.status.settle = cfg.CopyRetryMin
	c.status.s.State = replication.Idle
	c.status.s.Connection = replication.ConnConnecting
	return c
}

// Addresses are those of the primary in the order to try them.
func (c *Client) Addresses() []string { return c.addresses.Candidates() }

// Demoted says that the primary has said that it was demoted.
func (c *Client) Demoted() bool { return c.known.now().Demoted }

// Run follows the primary until the context ends.
func (c *Client) Run(ctx context.Context) {
	defer c.status.ended()
	for {
		progressed, err := c.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if progressed {
			c.retry.Reset()
		}
		delay := c.delay(err)
		var gone *unreached
		if !errors.As(err, &gone) {
			c.note = ""
		}
		c.failed(err)
		c.logger.Warn("not connected to the primary", "error", err, "retry_in", delay.Round(time.Millisecond).String())
		due, cancel := context.WithTimeout(ctx, delay)
		if gone != nil {
			c.failOver(ctx, due)
		}
		if c.moved == nil {
			c.failed(err)
			<-due.Done()
		}
		cancel()
		if ctx.Err() != nil {
			c.dropMoved()
			return
		}
	}
}

// failed shows why there is no session. It prefers a demotion to the silence that follows it.
func (c *Client) failed(err error) {
	var gone *unreached
	if c.Demoted() && errors.As(err, &gone) {
		err = errors.New(demotedText)
	}
	c.status.failed(err, c.note)
}

// delay says how long to wait after an error.
func (c *Client) delay(err error) time.Duration {
	delay := c.retry.NextBackOff()
	var refused *refusal
	var gone *unreached
	if errors.As(err, &refused) && !(errors.As(err, &gone) && gone.silent) {
		delay = max(delay, c.cfg.RefusedRetry)
	}
	if n := c.status.copiesInRow(); c.copyWanted && n >= 2 {
		// Copying again at once would load the primary for nothing.
		again := c.cfg.CopyRetryMin
		for i := 2; i < n && again < c.cfg.CopyRetryMax; i++ {
			again *= 2
		}
		delay = max(delay, min(again, c.cfg.CopyRetryMax))
	}
	return delay
}

// refusal is an answer of the primary that only an operator can change.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// round tries all addresses once. If one answers, it runs the session. progressed says that something was applied or
// the link held.
func (c *Client) round(ctx context.Context) (progressed bool, err error) {
	if s := c.moved; s != nil {
		c.moved = nil
		return c.follow(ctx, s)
	}
	c.status.connecting()
	addresses := c.addresses.Candidates()
	if len(addresses) == 0 {
		return false, replication.Errorf(replication.InvalidInput, "no address of the primary is known: use update-primary")
	}
	s, err := c.reach(ctx, addresses)
	if err != nil {
		return false, err
	}
	return c.follow(ctx, s)
}
