// SPDX-License-Identifier: MPL-2.0

package vaultcore

// routingExpectations are the fields behind the seams of routing.go.
var routingExpectations = []expectation{}
