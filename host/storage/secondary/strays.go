// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"strings"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/walk"
)

// strays are the views that have keys and no mount. The keys of a mount come ahead of its
// table, and its table may never come: it could not be stored, or the mount was removed before
// the table was read. Nobody tells a secondary with a paths filter of keys whose mount is gone.
// The rows of a mount's keys and of its table have no other one of the same table between
// them. So the next table decides: it has the mount, or the keys go with it. Those of a
// mount that was known are left to the core, which ends the mount first.
type strays struct {
	views  map[string]struct{}
	listed map[string]bool // directories whose views were listed since this process began
}

// arrives has the listener take up a load, and the strays go that a table in it decides on.
// A copy finds them itself, when it has all tables.
func (s *applier) arrives(ctx context.Context, l *load, to *journal.Cursor) error {
	if !keyclass.ByMount(s.mode) || to == nil || to.Copying {
		return s.listener().BeforeApply(ctx, &l.batch)
	}
	if err := s.expect(ctx, &l.batch); err != nil {
		return err
	}
	if err := s.listener().BeforeApply(ctx, &l.batch); err != nil {
		return err
	}
	return s.decide(ctx, l)
}

// expect looks for the strays that a batch may decide on, before it is taken up.
func (s *applier) expect(ctx context.Context, b *txn.Batch) error {
	for _, dir := range decidedBy(b) {
		if s.strays.listed[dir] {
			continue
		}
		views, err := s.orphansIn(ctx, dir)
		if err != nil {
			return err
		}
		s.strays.add(views...)
		if s.strays.listed == nil {
			s.strays.listed = map[string]bool{}
		}
		s.strays.listed[dir] = true
	}
	return nil
}

// decide adds to a batch that was taken up the deletions of strays that no mount has by it,
// and notes those that it brings.
func (s *applier) decide(ctx context.Context, l *load) error {
	for _, dir := range decidedBy(&l.batch) {
		for view := range s.strays.views {
			switch {
			case !strings.HasPrefix(view, dir):
			case !s.below.Classes().Orphan(view + "key"):
				delete(s.strays.views, view)
			default:
				ops, err := s.clearing(ctx, view)
				if err != nil {
					return err
				}
				l.add(ops)
			}
		}
	}
	for _, e := range l.batch.Entries() {
		if view, _, ok := keyclass.SplitView(e.Entry.Key); ok && s.below.Classes().Unmounted(view) {
			s.strays.add(view)
		}
	}
	return nil
}

func (s *strays) add(views ...string) {
	if s.views == nil {
		s.views = map[string]struct{}{}
	}
	for _, view := range views {
		s.views[view] = struct{}{}
	}
}

// decidedBy are the directories of views of which a batch brings a table of mounts.
func decidedBy(b *txn.Batch) (dirs []string) {
	for table, dir := range keyclass.Tables {
		if _, comes := b.Get(table); comes {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// orphans are deletions of the keys in views that no mount has. The primary had these mounts
// and has removed them. No comparison finds the keys, because no fingerprint counts them.
func (s *applier) orphans(ctx context.Context) (ops []journal.Op, err error) {
	if !keyclass.ByMount(s.mode) {
		return nil, nil
	}
	for _, dir := range keyclass.ViewDirectories {
		views, err := s.orphansIn(ctx, dir)
		if err != nil {
			return nil, err
		}
		for _, view := range views {
			left, err := s.clearing(ctx, view)
			if err != nil {
				return nil, err
			}
			ops = append(ops, left...)
		}
	}
	return ops, nil
}

// orphansIn are the views of a directory that no mount has.
func (s *applier) orphansIn(ctx context.Context, dir string) (views []string, err error) {
	names, err := s.below.Inner.List(ctx, dir)
	if err != nil {
		return nil, failure.Storage("list "+dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") && s.below.Classes().Orphan(dir+name+"key") {
			views = append(views, dir+name)
		}
	}
	return views, nil
}

// clearing are deletions of the keys of a view that no mount has.
func (s *applier) clearing(ctx context.Context, view string) ([]journal.Op, error) {
	w, err := walk.Below(ctx, s.below.Inner, view)
	if err != nil {
		return nil, err
	}
	return s.opsBetween(ctx, w, "", nil)
}
