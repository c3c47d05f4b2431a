// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"errors"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// reach opens a session at the first address of the primary that gives one, in their order.
// An address that does not answer at all, as when a machine is gone, holds the others up
// for DialPatience only.
func (c *Client) reach(ctx context.Context, addresses []string) (*session, error) {
	dialling, enough := context.WithCancel(ctx)
	answers := make(chan answer, len(addresses))
	next, pending := 0, 0
	dial := func() {
		address := addresses[next]
		next++
		pending++
		go func() {
			ctx, cancel := context.WithTimeout(dialling, c.cfg.DialTimeout)
			defer cancel()
			conn, err := c.host.Dial(ctx, c.bundle.DialRequest(address))
			answers <- answer{address: address, conn: conn, err: err}
		}()
	}
	defer func() {
		enough()
		go closeAll(answers, pending)
	}()
	tried := &unreached{}
	for dial(); pending > 0; {
		var patience <-chan time.Time
		if next < len(addresses) {
			patience = time.After(c.cfg.DialPatience)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience:
			dial()
		case a := <-answers:
			pending--
			var s *session
			if a.err == nil {
				if s, a.err = c.open(ctx, a.conn, a.address, false); a.err == nil {
					return s, nil
				}
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			c.logger.Debug("an address of the primary did not answer", "address", a.address, "error", a.err)
			tried.note(a.err)
			if pending == 0 && next < len(addresses) {
				dial()
			}
		}
	}
	return nil, tried
}

// closeAll closes connections that came too late.
func closeAll(answers <-chan answer, pending int) {
	for range pending {
		if a := <-answers; a.err == nil {
			_ = a.conn.Close()
		}
	}
}

// unreached says that no session could be begun at any address of the primary.
type unreached struct {
	error
	// silent says that an address did not answer. It may at any moment.
	silent bool
}

func (u *unreached) Unwrap() error { return u.error }

// note adds the error of one more address. A refusal tells the operator more than a closed
// port. Otherwise the first error is kept.
func (u *unreached) note(err error) {
	var refused, before *refusal
	if u.error == nil || (errors.As(err, &refused) && !errors.As(u.error, &before)) {
		u.error = err
	}
	u.silent = u.silent || replication.KindOf(err) == replication.Unreachable
}
