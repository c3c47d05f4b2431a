// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"fmt"

	"github.com/vault-replication/vault-replication/host/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// former is a mount that is gone and whose leases are not.
type former struct {
	table string
	entry mounttable.Entry
}

// unrevoked and unforgotten name what is said of the leases of a mount: that some
// may give access to something still, and that some are there.
func unrevoked(table, uuid string) string   { return subject("leases", table, uuid) }
func unforgotten(table, uuid string) string { return subject("forgetting", table, uuid) }

// revoke revokes what this secondary gave out of a mount that is about to go, and
// what is left of it again until the mount is gone or stays.
func (f *Follower) revoke(ctx context.Context, table string, e mounttable.Entry) {
	about, path := unrevoked(table, e.UUID), vaultname.RequestPath(table, e.Path)
	err := f.bounded(ctx, f.o.RevokeWait, about, func(ctx context.Context) error { return f.core.RevokeLeases(ctx, table, e) })
	f.done(err == nil, about, func(ctx context.Context) { f.revoke(ctx, table, e) })
	switch {
	case err == nil:
		f.mend(about)
	case ctx.Err() == nil:
		f.lack(about, fmt.Sprintf("not all leases of %s were revoked before it was unmounted or moved: %v; what they gave access to may still be valid", path, err))
	}
}

// keepLeases ends the revoking: the mount stays.
func (f *Follower) keepLeases(table, uuid string) {
	delete(f.again, unrevoked(table, uuid))
	f.mend(unrevoked(table, uuid))
}

// endLeases leaves no lease of a mount that goes: without its engine, or at another
// path, it could never be revoked, and it would meet the next mount at its path.
func (f *Follower) endLeases(ctx context.Context, table string, e mounttable.Entry) bool {
	delete(f.again, unrevoked(table, e.UUID))
	if !e.Tainted {
		f.revoke(ctx, table, e)
		delete(f.again, unrevoked(table, e.UUID))
	}
	return f.forgetLeases(ctx, table, e)
}

func (f *Follower) forgetLeases(ctx context.Context, table string, e mounttable.Entry) bool {
	about, path := unforgotten(table, e.UUID), vaultname.RequestPath(table, e.Path)
	orphans := 0
	forgotten := f.try(ctx, f.o.RevokeWait, "the forgetting of the leases of "+path, about, func(ctx context.Context) error {
		n, err := f.core.ForgetLeases(ctx, table, e)
		if err == nil {
			orphans = n
		}
		return err
	})
	switch {
	case forgotten && orphans == 0:
		f.mend(unrevoked(table, e.UUID))
	case forgotten:
		f.lack(unrevoked(table, e.UUID), fmt.Sprintf("%d leases of %s ended without having been revoked: what they gave access to may still be valid", orphans, path))
	}
	return forgotten
}

// endFormer ends the leases of a mount that is gone from its path, now or later.
// There is no engine in the way any more that could hang.
func (f *Follower) endFormer(ctx context.Context, table string, e mounttable.Entry) {
	about := unforgotten(table, e.UUID)
	forgotten := f.forgetLeases(ctx, table, e)
	if forgotten {
		delete(f.former, about)
	} else {
		f.former[about] = former{table, e}
	}
	f.done(forgotten, about, func(ctx context.Context) { f.endFormer(ctx, table, e) })
}

// clean leaves no lease of former mounts at a path that another mount gets.
func (f *Follower) clean(ctx context.Context, table, path string) error {
	for _, m := range f.former {
		if m.table != table || !mounttable.Overlap(m.entry.Path, path) {
			continue
		}
		f.endFormer(ctx, table, m.entry)
		if _, still := f.former[unforgotten(table, m.entry.UUID)]; still {
			return fmt.Errorf("the leases of the mount that was at %s are not ended yet", vaultname.RequestPath(table, m.entry.Path))
		}
	}
	return nil
}
