// SPDX-License-Identifier: MPL-2.0

package vaultcore

// followExpectations are the fields behind the seams of live changes.
var followExpectations = []expectation{}
