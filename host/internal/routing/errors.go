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
//
// Clients and proxies repeat a request that is answered with a status of 500 or above, Vault's own client up to twice.
// So only a request that was certainly not carried out gets such a status. A request that may have been carried out is
// answered 409, which nobody repeats by itself.
type answer struct {
	status int
	begins string
}

var (
	late        = answer{http.StatusConflict, "the primary cluster did not answer this write in time"}
	unreachable = answer{http.StatusServiceUnavailable, "this cluster is a performance secondary and cannot reach its " +
		"primary, which did not carry out this write"}
	unavailable = answer{http.StatusServiceUnavailable, "this cluster is a performance secondary and its primary cannot " +
		"carry out this write now"}
	noAnswerYet = answer{http.StatusConflict, "this cluster is a performance secondary and could not get its primary's " +
		"answer to this write"}
	leaving = answer{http.StatusServiceUnavailable, "the primary's active node is sealing or stepping down and did " +
		"not carry the request out"}
	left = answer{http.StatusConflict, "the primary's active node is sealing or stepping down and may have " +
		"carried the request out"}
	readOnly  = answer{http.StatusConflict, "the primary cluster refused this write because it cannot write itself"}
	unaudited = answer{http.StatusConflict, "the primary carried the request out but cannot audit the response"}

	answers = []answer{late, unreachable, unavailable, noAnswerYet, leaving, left, readOnly, unaudited}
)

func (a answer) error(format string, args ...any) error {
	return coded(a.status, "%s", a.begins+fmt.Sprintf(format, args...))
}

var (
	// errLate is the answer when the time is over. It says that the primary may have carried the request out all the same.
	errLate = late.error(": it may have been carried out, read before you repeat it")
	// errPrimaryReadOnly is the answer of a cluster that is no longer the primary. Its backend
	// may have acted before it could not write.
	errPrimaryReadOnly = readOnly.error(": it may have been demoted, see sys/replication/performance/status on both " +
		"clusters, and read before you repeat it")
	// errNotRun and errPerhapsRun are the answers of a node that is about to stop.
	errNotRun     = leaving.error(": try again in a moment")
	errPerhapsRun = left.error(": read before you repeat it")
	errUnaudited  = unaudited.error(": look at its audit devices")
)

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
		return unavailable.error(" (%v): see sys/replication/performance/status, and try again later", err)
	default:
		return noAnswerYet.error(" (%v): see sys/replication/performance/status, and read before you repeat it", err)
	}
}

// asTold finds, in the answer of a handler of the core, the error of a backend that failed to reach the primary; nil if
// there is none. Those handlers take every error of a backend for a mistake of the client, and put words around it.
func asTold(resp *logical.Response, err error) error {
	var own *logical.ReplicationCodedError
	if errors.As(err, &own) {
		return own
	}
	if resp == nil || !resp.IsError() {
		return nil
	}
	said := resp.Error().Error()
	n := answerIn(said)
	if n < 0 {
		return nil
	}
	a := answers[n]
	_, after, _ := strings.Cut(said, a.begins)
	return coded(a.status, "%s", strings.TrimSpace(a.begins+after))
}

// answerIn is the index of the answer about the way to the primary that a text contains.
func answerIn(said string) int {
	return slices.IndexFunc(answers, func(a answer) bool { return strings.Contains(said, a.begins) })
}

// SaysAway says whether a text contains that the primary could not be asked.
func SaysAway(said string) bool { return answerIn(said) >= 0 }
