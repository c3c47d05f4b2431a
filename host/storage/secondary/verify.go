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
	// DifferencesMax is how often in a row the fingerprints must differ. Once is not enough: this cluster may make a write
	// of its own just then, or keys may have come before the table with their mount.
	DifferencesMax = 2
	// verifyWait is how long differences are ignored after a comparison that did not help. It grows tenfold with each of
	// those, up to verifyWaitMax, so that comparisons cannot loop.
	verifyWait    = time.Minute
	verifyWaitMax = 24 * time.Hour
)

// verifier compares the content of a secondary with its primary's fingerprint.
type verifier struct {
	mu sync.Mutex
	// at is the next position at which the fingerprint of the primary is known.
	at          replication.Position
	fingerprint replication.Fingerprint
	differs     int       // in a row
	copies      int       // comparisons that were begun because of it since it was last equal
	notBefore   time.Time // when a difference is believed next
}

// Verify compares this cluster's content with the fingerprint that the primary had
// at a position; see [replication.Host].
func (s *comparison) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint) error {
	v := &s.verifier
	v.mu.Lock()
	v.at, v.fingerprint = at, fingerprint
	v.mu.Unlock()
	// An apply that is under way compares by itself.
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

// expects is the sequence, from one up to but not including another, at which the content must be compared; 0 for none.
func (v *verifier) expects(epoch replication.Epoch, from, below uint64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.at.Epoch != epoch || v.at.Sequence < from || v.at.Sequence >= below {
		return 0
	}
	return v.at.Sequence
}

// verified compares the content with the primary's fingerprint, if that belongs to the cursor's position. After
// repeated differences it marks the cursor, so that the secondary compares. The caller holds the turn to apply.
func (s *comparison) verified(ctx context.Context, c *journal.Cursor) error {
	v := &s.verifier
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.Missing > 0 {
		return nil // it differs, and the reason is known
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
		return nil // the index was stored, and the storage may have changed since
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
