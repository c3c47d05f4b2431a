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

// strays are the views that have keys but no mount. The keys of a mount come before its table, and the table may never
// come: it could not be stored, or the mount was removed before the table was read. A secondary with a paths filter is
// not told of keys whose mount is gone. Between the rows of a mount's keys and the row of its table there is no other
// row of that table. So the next table decides: if it lacks the mount, the keys are deleted with it. The keys of a
// mount that was known are left to the core, which ends the mount first.
type strays struct {
	views  map[string]struct{}
	listed map[string]bool // directories whose views were listed since this process began
}

// arrives tells the listener of a load before it is written, and adds deletions of the strays that a table in it
// decides on. A copy finds strays itself, when it has all tables.
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

// expect looks for the strays that a batch may decide on, before the listener is told of it.
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

// decide adds deletions of the strays that have no mount by the tables of the batch, and notes new strays in the batch.
// The listener has taken the tables up before.
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

// decidedBy are the directories of the views whose mount tables are in a batch.
func decidedBy(b *txn.Batch) (dirs []string) {
	for table, dir := range keyclass.Tables {
		if _, comes := b.Get(table); comes {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// orphans are deletions of the keys in views without a mount. The primary had these mounts and has removed them. A
// comparison does not find the keys, because no fingerprint counts them.
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

// orphansIn are the views of a directory that have no mount.
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

// clearing are deletions of the keys of a view without a mount.
func (s *applier) clearing(ctx context.Context, view string) ([]journal.Op, error) {
	w, err := walk.Below(ctx, s.below.Inner, view)
	if err != nil {
		return nil, err
	}
	ops, _, err := s.opsBetween(ctx, w, "", nil)
	return ops, err
}
