// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// StoredIndexes are the heads of the stored indexes. Without its head a stored index does not count.
func (t *Tap) StoredIndexes(ctx context.Context) (heads []string, err error) {
	for _, mode := range replication.Modes() {
		homes, err := t.indexes.Homes(ctx, mode)
		if err != nil {
			return nil, err
		}
		for _, home := range homes {
			heads = append(heads, fingerprint.HeadOf(home))
		}
	}
	return heads, nil
}

// LoseIndexes makes the stored indexes invalid, as when rows of a deposed leader are found.
func (t *Tap) LoseIndexes(ctx context.Context) error {
	return journaling{t.writePath}.invalidateIndexes(ctx)
}

// HoldIndexes keeps indexes from beginning and from being invalidated.
func (t *Tap) HoldIndexes() (release func()) { return t.hold() }

// ForgetCursor makes a secondary an ordinary cluster.
func (t *Tap) ForgetCursor(ctx context.Context, mode replication.Mode) error {
	b := &txn.Batch{}
	b.Delete(journal.CursorKey(mode))
	b.Delete(journal.MissingKey(mode))
	t.Secondary(mode).EndWaits()
	t.Secondary(mode).ForgetListed()
	return t.Commit(ctx, b)
}

// Gathering is how many writes wait to be stored together with others.
func (t *Tap) Gathering() int {
	g := &t.writeMode.Load().gathering
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// Holds says whether keys of a view were written while its mount was not known. Performance secondaries did not get
// these keys.
func (t *Tap) Holds(view string) bool {
	v := t.held.Take(view)
	t.held.PutBack(view, v)
	return v != nil
}

// hooks is an Observer of functions, for tests that look at one of them.
type hooks struct {
	Nobody
	leader  func(context.Context) error
	lost    func()
	wrong   func(replication.Mode)
	unseen  func(replication.Mode)
	before  func(context.Context, *txn.Batch) error
	applied func(context.Context, []string) []string
	written func(context.Context, string, []byte) error
	stored  func(context.Context, string)
}

// hook changes one of the functions.
func (t *Tap) hook(change func(*hooks)) {
	var h hooks
	if now, ok := t.observer().(*hooks); ok {
		h = *now
	}
	change(&h)
	t.Observe(&h)
}

func (t *Tap) OnLeaderWrite(f func(context.Context) error) { t.hook(func(h *hooks) { h.leader = f }) }
func (t *Tap) OnHistoryLost(f func())                      { t.hook(func(h *hooks) { h.lost = f }) }
func (t *Tap) OnWrongIndex(f func(replication.Mode))       { t.hook(func(h *hooks) { h.wrong = f }) }
func (t *Tap) OnUnseenIndex(f func(replication.Mode))      { t.hook(func(h *hooks) { h.unseen = f }) }
func (t *Tap) BeforeApply(f func(context.Context, *txn.Batch) error) {
	t.hook(func(h *hooks) { h.before = f })
}
func (t *Tap) OnApplied(f func(context.Context, []string) []string) {
	t.hook(func(h *hooks) { h.applied = f })
}
func (t *Tap) OnTableWrite(f func(context.Context, string, []byte) error) {
	t.hook(func(h *hooks) { h.written = f })
}
func (t *Tap) OnTableStored(f func(context.Context, string)) { t.hook(func(h *hooks) { h.stored = f }) }

func (h *hooks) LeadershipBegins(ctx context.Context) error {
	if h.leader == nil {
		return nil
	}
	return h.leader(ctx)
}

func (h *hooks) HistoryLost() {
	if h.lost != nil {
		h.lost()
	}
}

func (h *hooks) IndexWrong(mode replication.Mode) {
	if h.wrong != nil {
		h.wrong(mode)
	}
}

func (h *hooks) IndexUnseen(mode replication.Mode) {
	if h.unseen != nil {
		h.unseen(mode)
	}
}

func (h *hooks) BeforeApply(ctx context.Context, b *txn.Batch) error {
	if h.before == nil {
		return nil
	}
	return h.before(ctx, b)
}

func (h *hooks) Applied(ctx context.Context, keys []string) []string {
	if h.applied == nil {
		return nil
	}
	return h.applied(ctx, keys)
}

func (h *hooks) TableWritten(ctx context.Context, key string, value []byte) error {
	if h.written == nil {
		return nil
	}
	return h.written(ctx, key, value)
}

func (h *hooks) TableStored(ctx context.Context, key string) {
	if h.stored != nil {
		h.stored(ctx, key)
	}
}
