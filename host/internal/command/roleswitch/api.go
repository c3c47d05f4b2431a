// SPDX-License-Identifier: MPL-2.0

package roleswitch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// pollPause is between two looks at a cluster that is waited for.
const pollPause = 250 * time.Millisecond

// Unsafe says why a switch was not begun. Nothing was changed.
type Unsafe struct{ Plan *Plan }

func (u *Unsafe) Error() string {
	return "nothing was changed, because it is not safe: " + strings.Join(u.Plan.Reasons, "; ")
}

// path is where the endpoints of a role begin, without a slash at the end.
func (s *Switchover) path(role string) string { return "sys/replication/" + s.Mode + "/" + role }

// write calls an endpoint of the mode. One that a DR secondary serves gets the operation token.
func (s *Switchover) write(ctx context.Context, on Side, endpoint string, params map[string]any) error {
	params = maps.Clone(params)
	if s.Mode == view.DR && strings.HasPrefix(endpoint, "secondary/") {
		if params == nil {
			params = map[string]any{}
		}
		params["dr_operation_token"] = on.OperationToken
	}
	_, err := on.Client.Logical().WriteWithContext(ctx, "sys/replication/"+s.Mode+"/"+endpoint, params)
	return Refused(on.Client.Address(), endpoint, err)
}

// Refused is an answer of the API as one sentence that says who refused what.
func Refused(address, endpoint string, err error) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) && len(answer.Errors) > 0 {
		return fmt.Errorf("%s refused %s with %d: %w", address, endpoint, answer.StatusCode, &sentence{answer})
	}
	if err != nil {
		return fmt.Errorf("%s did not answer %s: %w", address, endpoint, err)
	}
	return nil
}

// sentence is what a server has answered, without what the client puts around it.
type sentence struct{ *api.ResponseError }

func (s *sentence) Error() string { return strings.Join(s.Errors, "; ") }

func (s *sentence) Unwrap() error { return s.ResponseError }

// makePrimary promotes a secondary, again as long as it says that it is not ready, and waits for the role.
func (s *Switchover) makePrimary(ctx context.Context, on Side, params map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	promote := func() error {
		err := s.write(ctx, on, "secondary/promote", params)
		if err != nil && view.Ask(ctx, on.Client).Of(s.Mode).Role == view.Primary {
			return nil // the promotion was carried out: for this call, whose answer was lost, or for an earlier one
		}
		var answer *api.ResponseError
		if errors.As(err, &answer) && answer.StatusCode != http.StatusServiceUnavailable {
			return backoff.Permanent(err)
		}
		return err
	}
	if err := backoff.Retry(promote, backoff.WithContext(backoff.NewConstantBackOff(pollPause), ctx)); err != nil {
		return err
	}
	return s.until(ctx, on, "it is the primary", func(c *view.Cluster) bool {
		return c.Of(s.Mode).Role == view.Primary && c.Active != ""
	})
}

// until looks at a cluster until it is as wanted.
func (s *Switchover) until(ctx context.Context, on Side, what string, wanted func(*view.Cluster) bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	var last *view.Cluster
	look := func() error {
		c := view.Ask(ctx, on.Client)
		if ctx.Err() == nil {
			last = c
		}
		if c.Error != "" || c.Sealed {
			return errors.New("it does not answer")
		}
		if !wanted(c) {
			return errors.New("not yet")
		}
		return nil
	}
	err := backoff.Retry(look, backoff.WithContext(backoff.NewConstantBackOff(pollPause), ctx))
	if err == nil {
		return nil
	}
	said := ""
	if last != nil {
		own := last.Of(s.Mode)
		said = fmt.Sprintf(" (its mode is %q, its state %q, its position %d: %s%s)", own.Role, own.State, own.LastRemoteWAL,
			last.Error, own.LastError)
	}
	return fmt.Errorf("waited %s in vain for %s until %s%s", s.Limit, on.Client.Address(), what, said)
}
