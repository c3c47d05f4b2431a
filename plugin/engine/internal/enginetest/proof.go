// SPDX-License-Identifier: MPL-2.0

package enginetest

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// The proofs of the fake hosts are in clear: they show that the plugins carry each of
// them to where it belongs, and nothing more.

func proofOf(what string, at any, of []byte) replication.Proof {
	return fmt.Appendf(nil, "%s at %v of %x", what, at, sha256.Sum256(of))
}

func notProven(what string, proof replication.Proof) error {
	return replication.Errorf(replication.Denied, "the %s came with the proof %q", what, proof)
}

// proven adds the proof of a cursor; it needs mu.
func (h *Host) proven() *replication.Cursor {
	c := h.cursor
	at := c.Position
	if c.Copying {
		at = c.CopyFrom
	}
	c.Proof = fmt.Appendf(nil, "cursor at %v copy %s", at, h.copyName())
	return &c
}

func (h *Host) copyName() string { return fmt.Sprintf("%s/%d", h.name, h.copies) }

func (h *Host) cursorProven(proof replication.Proof, at replication.Position) error {
	if !strings.HasPrefix(string(proof), fmt.Sprintf("cursor at %v copy ", at)) {
		return notProven("cursor", proof)
	}
	return nil
}

// copyOf is the name of the copy in the proof of a cursor, and empty without one: what
// is made for that no host takes.
func copyOf(proof replication.Proof) string {
	_, name, _ := strings.Cut(string(proof), " copy ")
	return name
}

func openingProof(at replication.Position, copying string) replication.Proof {
	return proofOf("opening", at, []byte(copying))
}

func rangeProof(r *replication.Range, copying string) replication.Proof {
	return proofOf("range", r.After+" to "+r.UpTo, append([]byte(copying), r.Payload...))
}
