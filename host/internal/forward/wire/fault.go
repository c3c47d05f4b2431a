// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"errors"
	"slices"

	"github.com/hashicorp/errwrap"
	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// class is the part of an error's type that Vault's code can find by a type assertion. The words are part of the
// format.
type class string

const (
	plain            class = ""
	named            class = "sentinel"
	badRequest       class = "bad-request"
	coded            class = "coded"
	replicationCoded class = "replication-coded"
	keyNotFound      class = "key-not-found"
	multiple         class = "multierror"
	userInput        class = "user"
	internal         class = "internal"
	contract         class = "contract" // replication.Error
)

// how an error gives out what it wraps.
type shape string

const (
	single shape = ""     // Unwrap() error
	joined shape = "many" // Unwrap() []error
	walked shape = "walk" // WrappedErrors() []error, of errwrap
)

// fault describes an error. Its fields are part of the format.
type fault struct {
	Class class
	Text  string
	// Name is the sentinel if the class is named. Code is an HTTP status, or the kind if
	// the class is contract.
	Name string
	Code int
	// Wrapped is what the error wraps, given out in this shape.
	Wrapped []*fault
	Shape   shape
	// Is names sentinels that errors.Is finds by a method of the error, though none of
	// Wrapped is one.
	Is []string
}

// Bounds of a description. What lies beyond is replaced by its sentinels, and the text of
// the whole stays.
const (
	faultDepth = 32
	faultNodes = 256
)

// describe turns err into the form in which it is sent.
func describe(err error) *fault {
	if err == nil {
		return nil
	}
	nodes := faultNodes
	return describeNode(err, 0, &nodes)
}

func describeNode(err error, depth int, nodes *int) *fault {
	*nodes--
	if name := sentinelName(err); name != "" {
		return &fault{Class: named, Name: name, Text: err.Error()}
	}
	f := &fault{Text: err.Error()}
	f.Class, f.Code = classify(err)
	inner, shape := unwrap(err)
	f.Shape = shape
	cut := false
	for _, e := range inner {
		if depth == faultDepth || *nodes <= 0 {
			cut = true
		} else if e != nil {
			f.Wrapped = append(f.Wrapped, describeNode(e, depth+1, nodes))
		}
	}
	f.Is = hidden(err, f.Wrapped)
	if cut {
		f.Wrapped, f.Is = append(f.Wrapped, sentinelFaults(f.Is)...), nil
	}
	return f
}

// sentinelFaults stand for what was cut off.
func sentinelFaults(names []string) []*fault {
	var faults []*fault
	for _, n := range names {
		faults = append(faults, &fault{Class: named, Name: n, Text: sentinel(n).Error()})
	}
	return faults
}

// classify looks at the type of this error alone, not of those that it wraps.
func classify(err error) (class, int) {
	switch e := err.(type) { //nolint:errorlint // each level of the tree is described by itself
	case *logical.StatusBadRequest:
		return badRequest, 0
	case *logical.ReplicationCodedError:
		return replicationCoded, e.Code
	case logical.HTTPCodedError:
		return coded, e.Code()
	case *logical.KeyNotFoundError:
		return keyNotFound, 0
	case *multierror.Error:
		return multiple, 0
	case errutil.UserError:
		return userInput, 0
	case errutil.InternalError:
		return internal, 0
	case *replication.Error:
		return contract, int(e.Kind)
	default:
		return plain, 0
	}
}

func unwrap(err error) ([]error, shape) {
	switch e := err.(type) { //nolint:errorlint // each level of the tree is described by itself
	case errwrap.Wrapper:
		return e.WrappedErrors(), walked
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return []error{inner}, single
		}
	case interface{ Unwrap() []error }:
		return e.Unwrap(), joined
	}
	return nil, single
}

// hidden names the sentinels that errors.Is finds in err and that its description lacks.
func hidden(err error, wrapped []*fault) []string {
	var names []string
	for _, s := range sentinels {
		if errors.Is(err, s.err) && !describes(wrapped, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

func describes(faults []*fault, name string) bool {
	return slices.ContainsFunc(faults, func(f *fault) bool {
		return f.Name == name || slices.Contains(f.Is, name) || describes(f.Wrapped, name)
	})
}
