// SPDX-License-Identifier: MPL-2.0

// Package duty has the answers of a core that is not active. It does not link Vault's server, so that callers of a core
// can be built and tested without it.
package duty

import "errors"

// ErrEnds is the answer of a node that is about to stop being active, or not quite active
// yet.
var ErrEnds = errors.New("the node's active duty begins or ends: try again in a moment")

// Away is the answer of a node that is sealed, on standby or about to be.
type Away struct {
	// Begun says that the request may have been run.
	Begun bool
	Err   error
}

func (a *Away) Error() string { return a.Err.Error() }

// Unwrap is the error of the node, or of the backend when the node's duty ended.
func (a *Away) Unwrap() error { return a.Err }
