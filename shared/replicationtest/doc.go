// SPDX-License-Identifier: MPL-2.0

// Package replicationtest has fakes of both sides of the contract and a
// conformance suite for whatever carries it.
//
// [Backend] and [Host] are fakes with a function for every method. [Probe] is a
// backend whose behaviour is chosen by what it is asked, so that it works in
// another process too; [Suite] drives it over any transport and checks that the
// contract holds on the way: errors, contexts, streams, connections, sizes.
package replicationtest

import "github.com/vault-replication/vault-replication/shared/replication"

func unexpected(method string) error {
	return replication.Errorf(replication.Internal, "the test did not expect a call of %s", method)
}
