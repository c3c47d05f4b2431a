// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"errors"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// restore makes the error that f describes, nil if f is nil.
func (f *fault) restore() error {
	if f == nil {
		return nil
	}
	var inner []error
	for _, w := range f.Wrapped {
		if err := w.restore(); err != nil {
			inner = append(inner, err)
		}
	}
	switch f.Class {
	case named:
		if err := sentinel(f.Name); err != nil {
			return err
		}
	case badRequest:
		return &logical.StatusBadRequest{Err: f.Text}
	case replicationCoded:
		return &logical.ReplicationCodedError{Msg: f.Text, Code: f.Code}
	case userInput:
		return errutil.UserError{Err: f.Text}
	case internal:
		return errutil.InternalError{Err: f.Text}
	case keyNotFound:
		if len(inner) == 1 {
			return &logical.KeyNotFoundError{Err: inner[0]}
		}
	case multiple:
		return restoreMultiple(f.Text, inner)
	case coded:
		if len(inner) == 0 && len(f.Is) == 0 {
			return logical.CodedError(f.Code, f.Text)
		}
		return &codedError{error: f.wrapping(inner), code: f.Code}
	case contract:
		return f.restoreContract(inner)
	case plain: // its text and what it wraps are all
	}
	return f.wrapping(inner)
}

func (f *fault) restoreContract(inner []error) error {
	kind := replication.Kind(f.Code)
	if len(inner) == 0 && len(f.Is) == 0 {
		return &replication.Error{Kind: kind, Message: f.Text}
	}
	return replication.Errorf(kind, "%w", f.wrapping(inner))
}

func restoreMultiple(text string, inner []error) error {
	m := &multierror.Error{Errors: inner}
	if m.Error() != text {
		m.ErrorFormat = func([]error) string { return text }
	}
	return m
}

// wrapping makes an error of no class, with the text of f, that wraps others.
func (f *fault) wrapping(inner []error) error {
	e := &remoteError{text: f.Text}
	for _, name := range f.Is {
		if s := sentinel(name); s != nil {
			e.is = append(e.is, s)
		}
	}
	switch {
	case len(inner) == 0:
		return e
	case f.Shape == walked, f.Shape == single && len(inner) > 1:
		return &walkedError{joinedError{e, inner}}
	case f.Shape == joined:
		return &joinedError{e, inner}
	default:
		return &wrappedError{e, inner[0]}
	}
}

// remoteError is an error of the primary whose type has no meaning here.
type remoteError struct {
	text string
	is   []error
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Is(target error) bool {
	return slices.ContainsFunc(e.is, func(s error) bool { return errors.Is(s, target) })
}

type wrappedError struct {
	*remoteError
	inner error
}

func (e *wrappedError) Unwrap() error { return e.inner }

type joinedError struct {
	*remoteError
	inner []error
}

func (e *joinedError) Unwrap() []error { return e.inner }

// walkedError is for errwrap, which looks for this method and knows no lists.
type walkedError struct{ joinedError }

func (e *walkedError) WrappedErrors() []error { return e.inner }

// codedError is a logical.HTTPCodedError that wraps something.
type codedError struct {
	error
	code int
}

func (e *codedError) Code() int { return e.code }

func (e *codedError) Unwrap() error { return e.error }
