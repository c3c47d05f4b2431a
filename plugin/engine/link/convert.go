// SPDX-License-Identifier: MPL-2.0

package link

import (
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func invalid(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, "the other cluster sent a message that is not valid: "+format,
		args...)
}

// FromPosition reads the wire form; absent is the zero position.
func FromPosition(w *commonv1.Position) (replication.Position, error) {
	if n := len(w.GetEpoch().GetId()); n > epochIDMax {
		return replication.Position{}, invalid("an epoch's id has %d bytes, %d are allowed", n, epochIDMax)
	}
	return *mirror.Value[replication.Position](w), nil
}

// ToCursor makes the wire form. Names of keys stay here: only the secondary
// needs to know where its copy was cut.
func ToCursor(c *replication.Cursor) *linkv1.Cursor {
	w := &linkv1.Cursor{Copying: c.Copying, Proof: c.Proof}
	if !c.Position.Epoch.IsZero() {
		w.Position = mirror.Message[commonv1.Position](&c.Position)
	}
	if c.Copying {
		w.CopyFrom = mirror.Message[commonv1.Position](&c.CopyFrom)
	}
	return w
}

// FromCursor reads the wire form; absent is the empty cursor.
func FromCursor(w *linkv1.Cursor) (*replication.Cursor, error) {
	at, err := FromPosition(w.GetPosition())
	if err != nil {
		return nil, err
	}
	from, err := FromPosition(w.GetCopyFrom())
	if err != nil {
		return nil, err
	}
	c := &replication.Cursor{Position: at, Copying: w.GetCopying(), CopyFrom: from, Proof: w.GetProof()}
	return c, CheckProof(c.Proof)
}

// FromRange reads the wire form and checks that the range begins where the copy is.
func FromRange(w *commonv1.Range, after string) (*replication.Range, error) {
	if w == nil {
		return nil, invalid("a range is missing")
	}
	r := mirror.Value[replication.Range](w)
	return r, CheckRange(r, after)
}

// CheckRange says whether a range goes on after a key. Both ends check: the
// primary what its host reads, the secondary what arrives.
func CheckRange(r *replication.Range, after string) error {
	switch {
	case len(r.Payload) > replication.PayloadMax:
		return invalid("a range has %d bytes, %d are allowed", len(r.Payload), replication.PayloadMax)
	case len(r.UpTo) > KeyMax:
		return invalid("the name of a key has %d bytes, %d are allowed", len(r.UpTo), KeyMax)
	case r.After != after:
		return invalid("a range does not begin where the one before ended")
	case r.Last && r.UpTo != "":
		return invalid("the last range has an end")
	case !r.Last && r.UpTo <= r.After:
		return invalid("a range ends before it begins")
	}
	return CheckProof(r.Proof)
}

// CheckProof checks the size of a proof. The hosts check its content.
func CheckProof(p replication.Proof) error {
	if len(p) > replication.ProofMax {
		return invalid("a proof has %d bytes, %d are allowed", len(p), replication.ProofMax)
	}
	return nil
}

// FromFrame reads the wire form and checks the frame by itself. The caller checks whether
// it follows the cursor.
func FromFrame(w *commonv1.Frame) (*replication.Frame, error) {
	if w == nil {
		return nil, invalid("a frame is missing")
	}
	if _, err := FromPosition(w.GetTo()); err != nil {
		return nil, err
	}
	f := mirror.Value[replication.Frame](w)
	return f, CheckFrame(f)
}

// CheckFrame says whether a frame makes sense.
func CheckFrame(f *replication.Frame) error {
	switch {
	case len(f.Payload) > replication.PayloadMax:
		return invalid("a frame has %d bytes, %d are allowed", len(f.Payload), replication.PayloadMax)
	case f.To.Epoch.IsZero():
		return invalid("a frame has no epoch")
	case f.To.Sequence <= f.After:
		return invalid("a frame ends at sequence %d and begins after %d", f.To.Sequence, f.After)
	}
	return CheckProof(f.Proof)
}

// FromFingerprint checks the size of a fingerprint.
func FromFingerprint(b []byte) (replication.Fingerprint, error) {
	if len(b) > fingerprintMax {
		return nil, invalid("a fingerprint has %d bytes, %d are allowed", len(b), fingerprintMax)
	}
	return replication.Fingerprint(b), nil
}
