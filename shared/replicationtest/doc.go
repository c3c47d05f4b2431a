// SPDX-License-Identifier: MPL-2.0

// Package replicationtest has fakes of both sides of the contract and a
// conformance suite for whatever carries it.
//
// [Backend] and [Host] are fakes with a function for each method that tests use. [Probe] is a
// backend whose behaviour is chosen by what it is asked, so that it works in
// another process too; [Suite] drives it over any transport and checks that the
// contract holds on the way: errors, contexts, streams, connections, sizes.
package replicationtest
