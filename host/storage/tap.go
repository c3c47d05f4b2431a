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
// It has four parts, each with its own state and locks: the write path, the primary's part, a secondary's part for each
// mode, and the indexes. Here is what concerns more than one of them.
//
// A goroutine takes locks in this order: the turn of an apply of a mode, the turns of tables, the turn of changed
// views, writePath.control, the locks of the keys of a write, the locks inside a part. The last are held for a moment
// only, and no lock of another part is taken under them.
type Tap struct {
	*writePath
	*primaryPart
	indexes     *index.Indexes
	duty        *secondary.Duty
	secondaries map[replication.Mode]*secondary.Secondary
}

// primaryPart is a name for the embedded part under which it is not exported.
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
		Unseen:  func(mode replication.Mode) { w.observer().IndexUnseen(mode) },
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

// applied is the highest number that this cluster has applied as a secondary.
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

// Indexes are the indexes of the replicated content, for callers that read them. The tap begins and ends them: see
// StartFingerprint.
type Indexes interface {
	// Fingerprint is the present fingerprint of a mode's content, with the number of its keys; nil and 0 while it is
	// unknown.
	Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64)
	State(mode replication.Mode) index.State
	Reindex(mode replication.Mode, forget bool) error
	Check(ctx context.Context, mode replication.Mode) (*index.Report, error)
	Store(ctx context.Context)
}

// Indexes are the indexes of this node.
func (t *Tap) Indexes() Indexes { return t.indexes }

// StartFingerprint begins to keep the fingerprint of a mode's content: first by a scan in the background, during which
// the fingerprint is unknown, then with every write. The host calls it when the node becomes active in a role of the
// mode. If it is kept already with this key, the call does nothing.
func (t *Tap) StartFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	defer t.hold()()
	return t.indexes.Start(ctx, mode, key)
}

// StopFingerprint ends this. The host calls it when the node gives up its role, because the fingerprint cannot follow
// the writes of another node.
func (t *Tap) StopFingerprint(ctx context.Context, mode replication.Mode) error {
	defer t.hold()()
	return t.indexes.Stop(ctx, mode, true)
}

// Secondary is the secondary's part of a mode, even if this cluster is no secondary.
func (t *Tap) Secondary(mode replication.Mode) *secondary.Secondary { return t.secondaries[mode] }

// OnDuty says that this node has begun to lead and that its core has read what it needs from storage. Applies run to
// their end under this context, and owed keys are taken up under it.
func (t *Tap) OnDuty(ctx context.Context) {
	t.duty.Begin(ctx)
	for _, s := range t.secondaries {
		s.OnDuty()
	}
}

// Backend is the storage for the core. It has transactions if and only if the inner backend has them.
func (t *Tap) Backend() physical.Backend {
	if t.below.Txn == nil && t.below.PathKeys {
		return backing.OneSpelling{Backend: &backend{t.writePath}}
	}
	if t.below.Txn == nil {
		return &backend{t.writePath}
	}
	return physical.TransactionalLimits(&transactional{backend{t.writePath}})
}

// SetGuard changes the guard, and returns when no write that the former guard let pass is under way. If the context
// ends before, the guard holds all the same.
func (t *Tap) SetGuard(ctx context.Context, g Guard) error {
	defer t.hold()()
	g.Modes, g.Absorb = slices.Clone(g.Modes), slices.Clone(g.Absorb)
	for m, s := range t.secondaries {
		if g.Level != ReadOnly || !slices.Contains(g.Modes, m) {
			s.EndWaits() // no longer a secondary, or about to change
		}
	}
	return t.change(ctx, func(r *writeMode) { r.guard = g })
}

// Rest stops the background writes of the tap and waits for their end, at most until the context ends. The node has
// ended its duty, and its storage may be replaced.
func (t *Tap) Rest(ctx context.Context) {
	t.indexes.Rest(ctx)
	t.primaryPart.Rest(ctx)
}

// Abandon ends the journal and all fingerprints in memory, and writes nothing. It is for a node that has lost its
// leadership, because another node may have given out newer numbers.
func (t *Tap) Abandon(ctx context.Context) error {
	t.endWaits()
	err := t.primaryPart.Abandon(ctx)
	t.forgetListed()
	return err
}

// Close ends the journal and all fingerprints. Afterwards the tap passes writes on, under its present guard.
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

// forgetListed drops the kept listings, because the storage may be another one from now on.
func (t *Tap) forgetListed() {
	for _, s := range t.secondaries {
		s.ForgetListed()
	}
}

// endWaits ends all waits, because the node's duty ends.
func (t *Tap) endWaits() {
	for _, s := range t.secondaries {
		s.EndWaits()
	}
}
