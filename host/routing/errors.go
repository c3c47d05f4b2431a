// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// coded is an error whose status and text reach the client unchanged. Of Vault's coded
// errors only this one passes the core's own lists of errors without becoming an entry of a
// list.
func coded(status int, format string, args ...any) error {
	return &logical.ReplicationCodedError{Code: status, Msg: fmt.Sprintf(format, args...)}
}

// answer is an error about the way to the primary, not about the request itself: how its
// sentences begin, and their status.
type answer struct {
	status int
	begins string
}

var (
	late        = answer{http.StatusGatewayTimeout, "the primary cluster did not answer this write in time"}
	unreachable = answer{http.StatusServiceUnavailable, "this cluster is a performance secondary and cannot reach its primary, which did not carry out this write"}
	unavailable = answer{http.StatusServiceUnavailable, "this cluster is a performance secondary and its primary cannot answer this write now"}
	noAnswerYet = answer{http.StatusBadGateway, "this cluster is a performance secondary and could not get its primary's answer to this write"}
	leaving     = answer{http.StatusServiceUnavailable, "the primary's active node is sealing or stepping down"}
	readOnly    = answer{http.StatusBadGateway, "the primary cluster refused this write because it cannot write itself"}

	answers = []answer{late, unreachable, unavailable, noAnswerYet, leaving, readOnly}
)

func (a answer) error(format string, args ...any) error {
	return coded(a.status, "%s", a.begins+fmt.Sprintf(format, args...))
}

// errLate is the answer when the time is over. The primary may have carried the request out
// all the same, and the client must know that.
var errLate = late.error(": it may have been carried out, read before you repeat it")

// errPrimaryReadOnly is the answer of a cluster that is no longer the primary.
var errPrimaryReadOnly = readOnly.error(": it may have been demoted, see sys/replication/performance/status on both clusters")

// noAnswer says why a forwarded request has no answer.
func noAnswer(ctx context.Context, err error) error {
	var own *logical.ReplicationCodedError
	switch {
	case errors.As(err, &own):
		return own
	case replication.KindOf(err) == replication.Unreachable:
		return unreachable.error(" (%v): see sys/replication/performance/status, and try again later", err)
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		// The core gives its backends no deadline. When the listener's limit for a request
		// has passed it cancels the context, as it does for a client that has gone, which
		// reads no answer.
		return errLate
	}
	switch replication.KindOf(err) {
	case replication.InvalidInput:
		return coded(http.StatusBadRequest, "this request cannot be forwarded to the primary cluster: %v", err)
	case replication.Unavailable:
		return unavailable.error(" (%v): see sys/replication/performance/status, and read before you repeat it", err)
	default:
		return noAnswerYet.error(" (%v): see sys/replication/performance/status, and read before you repeat it", err)
	}
}

// asTold finds the answer of a backend that failed to reach the primary in what a handler
// of the core made of it. Those handlers call whatever a backend answers a mistake of the
// client's, and put words around it. Nil if there is none.
func asTold(resp *logical.Response, err error) error {
	var own *logical.ReplicationCodedError
	if errors.As(err, &own) {
		return own
	}
	if resp == nil || !resp.IsError() {
		return nil
	}
	said := resp.Error().Error()
	n := slices.IndexFunc(answers, func(a answer) bool { return strings.Contains(said, a.begins) })
	if n < 0 {
		return nil
	}
	a := answers[n]
	_, after, _ := strings.Cut(said, a.begins)
	return coded(a.status, "%s", strings.TrimSpace(a.begins+after))
}
