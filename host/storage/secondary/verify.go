// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// DifferencesMax is how often in a row the fingerprints must differ. It takes two:
	// what is seen once may be a write that this cluster makes by itself just then, or
	// keys that come ahead of the table that has their mount.
	DifferencesMax = 2
	// verifyWait is how long the next comparison is not believed after a copy that did
	// not help; it grows tenfold with each of those, up to verifyWaitMax, so that
	// nothing can make it a loop.
	verifyWait    = time.Minute
	verifyWaitMax = 24 * time.Hour
)

// verifier compares a secondary with what its primary says that it should have.
type verifier struct {
	mu sync.Mutex
	// at is the next position at which the fingerprint of the primary is known.
	at          replication.Position
	fingerprint replication.Fingerprint
	differs     int       // in a row
	copies      int       // that were begun for it since it was last equal
	notBefore   time.Time // when a difference is believed next
}

// Verify compares this cluster's content with the fingerprint that the primary had
// at a position; see [replication.Host].
func (s *comparison) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint) error {
	v := &s.verifier
	v.mu.Lock()
	v.at, v.fingerprint = at, fingerprint
	v.mu.Unlock()
	// An apply that is under way comes to it by itself.
	unlock, ok := s.applying.Try()
	if !ok {
		return nil
	}
	defer unlock()
	c, err := s.readCursor(ctx)
	if err != nil || c.Copying || c.MustCopy {
		return err
	}
	return s.verified(ctx, c)
}

// expects is the sequence, from one and below another, at which the content is to be
// compared; 0 if there is none.
func (v *verifier) expects(epoch replication.Epoch, from, below uint64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.at.Epoch != epoch || v.at.Sequence < from || v.at.Sequence >= below {
		return 0
	}
	return v.at.Sequence
}

// verified compares the content with the fingerprint of the primary, if that is the one at
// the cursor's position. When they differ repeatedly it marks the cursor, so that the
// secondary copies. The caller is the only one that applies.
func (s *comparison) verified(ctx context.Context, c *journal.Cursor) error {
	v := &s.verifier
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.Missing > 0 {
		return nil // it differs, and it is known in what
	}
	if v.at != c.Position || v.at.Epoch.IsZero() || c.Position.Sequence < c.ConsistentFrom {
		return nil
	}
	x := s.index()
	if x == nil {
		return nil
	}
	root, _ := x.Sums().Root()
	ours := replication.Fingerprint(root)
	if ours == nil {
		return nil // it is being computed
	}
	theirs := v.fingerprint
	if bytes.Equal(ours, theirs) {
		v.differs, v.copies, v.notBefore = 0, 0, time.Time{}
		return nil
	}
	if !x.Confirmed() {
		return nil // it was stored, and the storage may have been changed since
	}
	if v.differs++; v.differs < DifferencesMax || time.Now().Before(v.notBefore) {
		return nil
	}
	s.below.Logger.Error("the content of this secondary is not that of its primary at the same position: it is compared "+
		"and mended",
		"mode", s.mode, "position", c.Position.String(), "fingerprint", ours.String(), "primary", theirs.String())
	must := *c
	must.MustCopy = true
	if err := s.writeCursor(ctx, &must); err != nil {
		return err
	}
	wait := verifyWait
	for range v.copies {
		wait = min(10*wait, verifyWaitMax)
	}
	v.differs, v.notBefore = 0, time.Now().Add(wait)
	v.copies++
	return replication.Errorf(replication.PositionLost, "the content was not that of the primary at %s, its fingerprint "+
		"was %s in place of %s", c.Position, ours, theirs)
}
