// SPDX-License-Identifier: MPL-2.0

// Package commonv1 is the part of the wires that is the same on both, with the one
// conversion between it and package replication. A nil message is the zero value.
package commonv1

import "github.com/vault-replication/vault-replication/shared/replication"

// OfPosition makes the wire form.
func OfPosition(p replication.Position) *Position {
	return &Position{Epoch: &Epoch{Generation: p.Epoch.Generation, Id: p.Epoch.ID}, Term: p.Term, Sequence: p.Sequence}
}

// Value reads the wire form.
func (x *Position) Value() replication.Position {
	return replication.Position{
		Epoch: replication.Epoch{Generation: x.GetEpoch().GetGeneration(), ID: x.GetEpoch().GetId()}, Term: x.GetTerm(),
		Sequence: x.GetSequence(),
	}
}

// OfFrame makes the wire form.
func OfFrame(f *replication.Frame) *Frame {
	return &Frame{After: f.After, To: OfPosition(f.To), ConsistentFrom: f.ConsistentFrom, Payload: f.Payload,
		Proof: f.Proof}
}

// Value reads the wire form.
func (x *Frame) Value() *replication.Frame {
	return &replication.Frame{
		After: x.GetAfter(), To: x.GetTo().Value(), ConsistentFrom: x.GetConsistentFrom(), Payload: x.GetPayload(),
		Proof: x.GetProof(),
	}
}

// OfRange makes the wire form.
func OfRange(r *replication.Range) *Range {
	return &Range{
		After: []byte(r.After), UpTo: []byte(r.UpTo), Last: r.Last, Keys: r.Keys, AsOf: r.AsOf, Payload: r.Payload,
		Proof: r.Proof,
	}
}

// Value reads the wire form.
func (x *Range) Value() *replication.Range {
	return &replication.Range{
		After: string(x.GetAfter()), UpTo: string(x.GetUpTo()), Last: x.GetLast(), Keys: x.GetKeys(), AsOf: x.GetAsOf(),
		Payload: x.GetPayload(), Proof: x.GetProof(),
	}
}
