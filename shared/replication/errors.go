// SPDX-License-Identifier: MPL-2.0

package replication

import (
	"errors"
	"fmt"
	"net/http"
)

// Kind classifies an [Error]. It keeps its meaning over every hop (plugin, gRPC, host,
// HTTP) and decides the HTTP status that the client sees.
type Kind int

// The kinds of errors. Their numbers are part of the wire format: append only.
const (
	// Internal is a fault that the caller cannot mend (HTTP 500).
	Internal Kind = 0
	// InvalidInput is bad input, or a call that the present role does not allow. Nothing
	// changed (HTTP 400).
	InvalidInput Kind = 1
	// Denied is a credential that is wrong, used, expired or revoked (HTTP 403).
	Denied Kind = 2
	// Unavailable may succeed when tried again later (HTTP 503).
	Unavailable Kind = 3
	// PositionLost says that the journal no longer holds the rows after the
	// position that was asked for, or that it is of another epoch: the secondary
	// must compare and copy.
	PositionLost Kind = 4
	// NotFound says that a named thing does not exist (HTTP 404).
	NotFound Kind = 5
	// Unreachable says that another cluster did not answer (HTTP 502).
	Unreachable Kind = 6
	// StorageFailed is full or failing storage under the host (HTTP 500).
	StorageFailed Kind = 7
	// Uncertain says that a request was sent to another cluster and its answer was
	// lost: it may have been carried out, and trying again may do it twice (HTTP 409:
	// clients repeat by themselves what is answered 500 and above).
	Uncertain Kind = 8
)

// HTTPStatus is the status that a client sees for the kind.
func (k Kind) HTTPStatus() int {
	switch k {
	case InvalidInput:
		return http.StatusBadRequest
	case Denied:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Unavailable:
		return http.StatusServiceUnavailable
	case Unreachable:
		return http.StatusBadGateway
	case Uncertain:
		return http.StatusConflict
	default:
		return http.StatusInternalServerError
	}
}

// Error is the error of the contract. Message is one sentence for an operator:
// what failed, why, what to do.
type Error struct {
	Kind    Kind
	Message string
	// cause is kept for errors.Is and errors.As; Message already tells it. It
	// does not cross a process boundary.
	cause error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.cause }

// Errorf makes an [Error] of a kind. As with fmt.Errorf, %w keeps the cause.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), cause: errors.Unwrap(err)}
}

// KindOf is the kind of the outermost [Error] in err's chain, Internal if none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
