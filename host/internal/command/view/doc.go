// SPDX-License-Identifier: MPL-2.0

// Package view asks the clusters of a replication set for what they say of themselves, over
// their public API alone: sys/replication/status, sys/health and sys/leader. None of the
// three needs a token. One address is enough: a cluster names the API addresses of its
// primary and its secondaries, and these are asked too.
//
// An address that only another cluster has named is asked without the caller's token: a token is sent only to addresses
// that its owner gave.
package view
