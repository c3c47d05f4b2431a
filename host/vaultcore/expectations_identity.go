// SPDX-License-Identifier: MPL-2.0

package vaultcore

// identityExpectations are the fields behind the seams of identity.
var identityExpectations = []expectation{}
