// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import "github.com/vault-replication/vault-replication/shared/replication"

// The limits of the contract, checked where a value leaves and where it arrives.

func checkStateKey(key string) error {
	if len(key) == 0 || len(key) > replication.StateKeyMax {
		return replication.Errorf(replication.InvalidInput,
			"the name of a record has %d bytes: 1 to %d are allowed", len(key), replication.StateKeyMax)
	}
	return nil
}

func checkState(key string, value []byte) error {
	if err := checkStateKey(key); err != nil {
		return err
	}
	if len(value) > replication.StateValueMax {
		return replication.Errorf(replication.InvalidInput,
			"the record %q has %d bytes: at most %d are allowed", key, len(value), replication.StateValueMax)
	}
	return nil
}

func checkPayload(what string, payload []byte) error {
	if len(payload) > replication.PayloadMax {
		return replication.Errorf(replication.InvalidInput,
			"the payload of a %s has %d bytes: at most %d are allowed", what, len(payload), replication.PayloadMax)
	}
	return nil
}

func checkProof(p replication.Proof) error {
	if len(p) > replication.ProofMax {
		return replication.Errorf(replication.InvalidInput, "a proof has %d bytes: at most %d are allowed", len(p),
			replication.ProofMax)
	}
	return nil
}

func checkTransition(t *replication.Transition) error {
	for k, v := range t.PutState {
		if err := checkState(k, v); err != nil {
			return err
		}
	}
	for _, k := range t.DeleteState {
		if err := checkStateKey(k); err != nil {
			return err
		}
	}
	return nil
}

// missing is the error of an implementation that returned neither a result nor an error.
// The other side must not dereference nil.
func missing(what string) error {
	return replication.Errorf(replication.Internal, "the answer has no %s: this is a fault of whoever answered", what)
}
