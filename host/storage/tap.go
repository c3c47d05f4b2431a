// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Tap is the storage tap. Make it with New. Safe for concurrent use.
//
// It is made of four parts, each with its own state and locks: the write path, the
// primary's part, a secondary's part for each mode, and the indexes. What concerns more
// than one of them is here.
//
// A goroutine takes locks in this order: the turn of an apply of a mode, the turns of tables,
// writePath.control, the locks of the keys of a write, then those inside a part, which are
// held for a moment and under which none of another part is taken.
type Tap struct {
	*writePath
	*primaryPart
	indexes     *index.Indexes
	duty        *secondary.Duty
	secondaries map[replication.Mode]*secondary.Secondary
}

// primaryPart keeps the part from being taken for a field of its own.
type primaryPart = primary.Primary

// New puts a tap over a backend. It passes everything through.
func New(inner physical.Backend, o Options) *Tap {
	below := backing.New(inner, backing.Options{
		Logger: o.Logger, Limits: o.Limits, ApplyBytes: o.ApplyBytes, Room: o.Room,
		PathKeys: o.PathKeys, AnyPrefix: o.AnyPrefix, Fenced: o.Fenced, Classes: o.Classes,
	})
	w := &writePath{below: below, alone: o.Alone, control: make(lock.Turns, 1), tables: newTableTurns()}
	if w.alone == nil {
		w.alone = func(string) bool { return false }
	}
	w.observed.Store(&observer{Nobody{}})
	w.writeMode.Store(newWriteMode(&writeMode{}))
	t := &Tap{writePath: w, duty: secondary.NewDuty(), secondaries: map[replication.Mode]*secondary.Secondary{}}
	t.indexes = index.New(index.Needs{
		Below: below, Writes: telling{w}, StoreAfter: cmp.Or(o.StoreAfter, index.DefaultStoreAfter),
		Copying: func(mode replication.Mode) bool { return t.secondaries[mode].Copying() },
		Wrong:   func(mode replication.Mode) { w.observer().IndexWrong(mode) },
	})
	w.counted = t.indexes
	t.primaryPart = primary.New(primary.Needs{
		Options: primary.Options{
			RingBytes: cmp.Or(o.RingBytes, DefaultRingBytes), RingRows: o.RingRows,
			Numbers:    uint64(cmp.Or(o.Numbers, DefaultNumbers)),
			FrameBytes: cmp.Or(o.FrameBytes, replication.PayloadTarget),
			RangeBytes: cmp.Or(o.RangeBytes, primary.RangeTarget), Caps: o.Caps,
			LateEvery: cmp.Or(o.LateEvery, DefaultLateEvery),
		},
		Below: below, Writes: journaling{w}, Indexes: t.indexes, Held: &w.held, Applied: t.applied,
		HistoryLost: func() { w.observer().HistoryLost() },
	})
	for _, mode := range replication.Modes() {
		t.secondaries[mode] = secondary.New(secondary.Needs{
			Mode: mode, Below: below, Writes: applying{w}, Duty: t.duty,
			Listener: func() secondary.Listener { return w.observer() },
			Index: func() secondary.Index {
				if x := w.writeMode.Load().indexes[mode]; x != nil {
					return x
				}
				return nil
			},
		})
	}
	return t
}

// applied is the highest number that this cluster knows as a secondary.
func (t *Tap) applied(ctx context.Context) (last uint64, err error) {
	for _, m := range replication.Modes() {
		c, err := secondary.ReadCursor(ctx, t.below, m)
		if err != nil {
			return 0, err
		}
		last = max(last, c.Position.Sequence, c.ConsistentFrom, c.CopyAsOf)
	}
	return last, nil
}

// Indexes are the indexes of what is replicated, for who asks what they have. They begin and
// end with the tap: see StartFingerprint.
type Indexes interface {
	// Fingerprint is that of a mode's content now, with the number of its keys; nil and 0
	// while it is not known.
	Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64)
	State(mode replication.Mode) index.State
	Reindex(mode replication.Mode, forget bool) error
	Check(ctx context.Context, mode replication.Mode) (*index.Report, error)
	Store(ctx context.Context)
}

// Indexes are those of this node.
func (t *Tap) Indexes() Indexes { return t.indexes }

// StartFingerprint begins to keep the fingerprint of a mode's content: a scan in
// the background, during which the fingerprint is unknown, and then with every
// write. The host calls it when the node becomes active in a role of the mode.
// With the key that is in use already it does nothing.
func (t *Tap) StartFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	defer t.hold()()
	return t.indexes.Start(ctx, mode, key)
}

// StopFingerprint ends that. The host calls it when the node gives up its role:
// the fingerprint cannot follow what another node writes.
func (t *Tap) StopFingerprint(ctx context.Context, mode replication.Mode) error {
	defer t.hold()()
	return t.indexes.Stop(ctx, mode, true)
}

// Secondary is the part of a mode in which this cluster is, or may become, a secondary.
func (t *Tap) Secondary(mode replication.Mode) *secondary.Secondary { return t.secondaries[mode] }

// OnDuty says that this node has begun to lead, once its core has read from storage
// what it needs. Applies run to their end under this context, and what is owed is taken
// up under it.
func (t *Tap) OnDuty(ctx context.Context) {
	t.duty.Begin(ctx)
	for _, s := range t.secondaries {
		s.OnDuty()
	}
}

// Backend is what the core writes through. It has transactions if and only if
// the inner backend does.
func (t *Tap) Backend() physical.Backend {
	if t.below.Txn == nil && t.below.PathKeys {
		return backing.OneSpelling{Backend: &backend{t.writePath}}
	}
	if t.below.Txn == nil {
		return &backend{t.writePath}
	}
	return physical.TransactionalLimits(&transactional{backend{t.writePath}})
}

// SetGuard changes the guard and returns when no write that the former guard
// let through is under way. When the context ends before, the guard holds all
// the same.
func (t *Tap) SetGuard(ctx context.Context, g Guard) error {
	defer t.hold()()
	g.Modes, g.Absorb = slices.Clone(g.Modes), slices.Clone(g.Absorb)
	for m, s := range t.secondaries {
		if g.Level != ReadOnly || !slices.Contains(g.Modes, m) {
			s.EndWaits() // a secondary no more, or about to change
		}
	}
	return t.change(ctx, func(r *writeMode) { r.guard = g })
}

// Rest stops what the tap writes by itself, and waits for it until the context
// ends: the node has ended its duty, and its storage may be replaced under it.
func (t *Tap) Rest(ctx context.Context) {
	t.indexes.Rest(ctx)
	t.primaryPart.Rest(ctx)
}

// Abandon ends the journal and all fingerprints in memory and writes nothing: for
// a node that has lost its leadership, whose numbers are no longer the newest.
func (t *Tap) Abandon(ctx context.Context) error {
	t.endWaits()
	err := t.primaryPart.Abandon(ctx)
	t.forgetListed()
	return err
}

// Close ends the journal and all fingerprints. The tap passes writes through
// afterwards, under the guard that it has.
func (t *Tap) Close(ctx context.Context) error {
	t.endWaits()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.OnDuty(over)
	err := t.Deactivate(ctx)
	for _, m := range replication.Modes() {
		err = errors.Join(err, t.StopFingerprint(ctx, m))
	}
	t.forgetListed()
	return err
}

// forgetListed forgets what directories had: the storage may be another one from now on.
func (t *Tap) forgetListed() {
	for _, s := range t.secondaries {
		s.ForgetListed()
	}
}

// endWaits ends all waiting because the node's duty ends.
func (t *Tap) endWaits() {
	for _, s := range t.secondaries {
		s.EndWaits()
	}
}
