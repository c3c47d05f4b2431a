// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// secondaries are the parts of a secondary, one a mode. Its methods are what others call:
// each calls the method of the same name of the mode that it is given.
type secondaries struct {
	of   map[replication.Mode]*secondary
	duty *duty
}

// Cursor calls [secondary.Cursor] of the mode.
func (ss secondaries) Cursor(ctx context.Context, mode replication.Mode) (*replication.Cursor, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return nil, err
	}
	return s.Cursor(ctx)
}

// BeginCopy calls [secondary.BeginCopy] of the mode.
func (ss secondaries) BeginCopy(ctx context.Context, mode replication.Mode, from replication.Position, given replication.Proof) error {
	s, err := ss.secondary(mode)
	if err != nil {
		return err
	}
	return s.BeginCopy(ctx, from, given)
}

// ForceCopy calls [secondary.ForceCopy] of the mode.
func (ss secondaries) ForceCopy(ctx context.Context, mode replication.Mode) error {
	s, err := ss.secondary(mode)
	if err != nil {
		return err
	}
	return s.ForceCopy(ctx)
}

// ForceCopyApplied calls [secondary.ForceCopyApplied] of the mode.
func (ss secondaries) ForceCopyApplied(ctx context.Context, mode replication.Mode) error {
	s, err := ss.secondary(mode)
	if err != nil {
		return err
	}
	return s.ForceCopyApplied(ctx)
}

// MustCopy calls [secondary.MustCopy] of the mode.
func (ss secondaries) MustCopy(ctx context.Context, mode replication.Mode) (bool, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return false, err
	}
	return s.MustCopy(ctx)
}

// EndCopy calls [secondary.EndCopy] of the mode.
func (ss secondaries) EndCopy(ctx context.Context, mode replication.Mode) (*replication.Cursor, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return nil, err
	}
	return s.EndCopy(ctx)
}

// ForgetCursor calls [secondary.ForgetCursor] of the mode.
func (ss secondaries) ForgetCursor(ctx context.Context, mode replication.Mode) error {
	s, err := ss.secondary(mode)
	if err != nil {
		return err
	}
	return s.ForgetCursor(ctx)
}

// WaitApplied calls [secondary.WaitApplied] of the mode.
func (ss secondaries) WaitApplied(ctx context.Context, mode replication.Mode, at replication.Position) error {
	s, err := ss.secondary(mode)
	if err != nil {
		return err
	}
	return s.WaitApplied(ctx, at)
}

// Waiting calls [secondary.Waiting] of the mode.
func (ss secondaries) Waiting(mode replication.Mode) int {
	if s, err := ss.secondary(mode); err == nil {
		return s.Waiting()
	}
	return 0
}

// Applied calls [secondary.Applied] of the mode.
func (ss secondaries) Applied(ctx context.Context, mode replication.Mode) replication.Position {
	if s, err := ss.secondary(mode); err == nil {
		return s.Applied(ctx)
	}
	return replication.Position{}
}

// Owe calls [secondary.Owe] of the mode.
func (ss secondaries) Owe(mode replication.Mode, keys ...string) {
	ss.of[mode].Owe(keys...)
}

// Owed calls [secondary.Owed] of the mode.
func (ss secondaries) Owed(mode replication.Mode) int {
	if s, err := ss.secondary(mode); err == nil {
		return s.Owed()
	}
	return 0
}

// Resume calls [secondary.Resume] of the mode.
func (ss secondaries) Resume(ctx context.Context, mode replication.Mode) (*replication.Cursor, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return nil, err
	}
	return s.Resume(ctx)
}

// ApplyFrame calls [secondary.ApplyFrame] of the mode.
func (ss secondaries) ApplyFrame(ctx context.Context, mode replication.Mode, f *replication.Frame) (*replication.Cursor, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return nil, err
	}
	return s.ApplyFrame(ctx, f)
}

// ApplyRange calls [secondary.ApplyRange] of the mode.
func (ss secondaries) ApplyRange(ctx context.Context, mode replication.Mode, rng *replication.Range) (*replication.Cursor, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return nil, err
	}
	return s.ApplyRange(ctx, rng)
}

// Missing calls [secondary.Missing] of the mode.
func (ss secondaries) Missing(ctx context.Context, mode replication.Mode) (keys uint64, what string, err error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return 0, "", err
	}
	return s.Missing(ctx)
}

// Verify calls [secondary.Verify] of the mode.
func (ss secondaries) Verify(ctx context.Context, mode replication.Mode, at replication.Position, fingerprint replication.Fingerprint) error {
	s, err := ss.secondary(mode)
	if err != nil {
		return err
	}
	return s.Verify(ctx, at, fingerprint)
}

// Diff calls [secondary.Diff] of the mode.
func (ss secondaries) Diff(ctx context.Context, mode replication.Mode, answer []byte) (*replication.DiffStep, error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return nil, err
	}
	return s.Diff(ctx, answer)
}

// WipeLocal calls [secondary.WipeLocal] of the mode.
func (ss secondaries) WipeLocal(ctx context.Context, mode replication.Mode, keep ...string) (deleted uint64, err error) {
	s, err := ss.secondary(mode)
	if err != nil {
		return 0, err
	}
	return s.WipeLocal(ctx, keep...)
}

func newSecondaries(w *writePath, x fingerprints) secondaries {
	ss := secondaries{of: map[replication.Mode]*secondary{}, duty: &duty{}}
	ctx := context.Background()
	ss.duty.ctx.Store(&ctx)
	for _, mode := range modes {
		ss.of[mode] = newSecondary(w, ss.duty, mode, x)
	}
	return ss
}

// secondary is the part of a mode.
func (ss secondaries) secondary(mode replication.Mode) (*secondary, error) {
	if err := failure.Mode(mode); err != nil {
		return nil, err
	}
	return ss.of[mode], nil
}

// copying says whether a copy is under way, as far as it is known.
func (ss secondaries) copying(mode replication.Mode) bool { return ss.of[mode].progress.isCopying() }

// forgetListed forgets what directories had.
func (ss secondaries) forgetListed() {
	for _, s := range ss.of {
		s.applies.Close()
	}
}
