// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/pause"
)

// leases revokes the leases of a mount before the mount goes.
type leases struct {
	*attempts
	core Leases
	// former are mounts that are gone while some of their leases are left, by the subject of the lack.
	former map[string]former
}

// former is a mount that is gone while some of its leases are left.
type former struct {
	table string
	entry mounttable.Entry
}

// unrevoked and unforgotten are the subjects of two lacks about the leases of a mount: some may still give access to
// something, and some are still stored.
func unrevoked(table, uuid string) string   { return subject("leases", table, uuid) }
func unforgotten(table, uuid string) string { return subject("forgetting", table, uuid) }

// revoke revokes this secondary's leases of a mount that is about to go. It tries the rest again until the mount is
// gone, or stays.
func (l *leases) revoke(ctx context.Context, table string, e mounttable.Entry) {
	about, path := unrevoked(table, e.UUID), vaultname.RequestPath(table, e.Path)
	err := l.bounded(ctx, l.o.RevokeWait, about,
		func(ctx context.Context) error { return l.core.RevokeLeases(ctx, table, e) })
	l.done(err == nil, about, func(ctx context.Context) { l.revoke(ctx, table, e) })
	switch {
	case err == nil:
		l.mend(about)
	case ctx.Err() == nil:
		l.lack(about, fmt.Sprintf("not all leases of %s were revoked before it was unmounted or moved: %v; what they gave "+
			"access to may still be valid", path, err))
	}
}

// keep ends the revoking: the mount stays.
func (l *leases) keep(table, uuid string) {
	delete(l.again, unrevoked(table, uuid))
	l.mend(unrevoked(table, uuid))
}

// end removes all leases of a mount that goes. Without its engine, or at another path, a lease could never be revoked,
// and the next mount at the path would get it. If some leases can be revoked only when the primary can be asked again,
// the mount has to wait.
func (l *leases) end(ctx context.Context, table string, e mounttable.Entry) (ended, wait bool) {
	delete(l.again, unrevoked(table, e.UUID))
	if !e.Tainted {
		l.revoke(ctx, table, e)
		delete(l.again, unrevoked(table, e.UUID))
	}
	return l.forget(ctx, table, e)
}

func (l *leases) forget(ctx context.Context, table string, e mounttable.Entry) (forgotten, wait bool) {
	about, path := unforgotten(table, e.UUID), vaultname.RequestPath(table, e.Path)
	orphans := 0
	var away atomic.Bool
	forgotten = l.try(ctx, l.o.RevokeWait, "the forgetting of the leases of "+path, about,
		func(ctx context.Context) error {
			n, err := l.core.ForgetLeases(ctx, table, e, func(err error) bool {
				away.Store(away.Load() || l.away(err))
				return l.away(err)
			})
			if err == nil {
				orphans = n
			}
			return err
		})
	switch {
	case forgotten && orphans == 0:
		l.mend(unrevoked(table, e.UUID))
	case forgotten:
		l.lack(unrevoked(table, e.UUID), fmt.Sprintf("%d leases of %s ended without having been revoked: what they gave "+
			"access to may still be valid", orphans, path))
	}
	return forgotten, away.Load()
}

// endFormer ends the leases of a mount that is gone from its path, now or later. No engine can hang it up any more.
func (l *leases) endFormer(ctx context.Context, table string, e mounttable.Entry) {
	about := unforgotten(table, e.UUID)
	forgotten, _ := l.forget(ctx, table, e)
	if forgotten {
		delete(l.former, about)
	} else {
		l.former[about] = former{table, e}
	}
	l.done(forgotten, about, func(ctx context.Context) { l.endFormer(ctx, table, e) })
}

// clean removes the leases of former mounts at a path that another mount gets.
func (l *leases) clean(ctx context.Context, table, path string) error {
	for _, m := range l.former {
		if m.table != table || !mounttable.Overlap(m.entry.Path, path) {
			continue
		}
		l.endFormer(ctx, table, m.entry)
		if _, still := l.former[unforgotten(table, m.entry.UUID)]; still {
			return fmt.Errorf("the leases of the mount that was at %s are not ended yet",
				vaultname.RequestPath(table, m.entry.Path))
		}
	}
	return nil
}

// away says whether a revocation failed because the primary could not be asked. Then it is tried again later: if a
// filter hides the mount or the mount was moved, the primary still has it.
func (l *leases) away(err error) bool { return l.o.Away != nil && l.o.Away(err.Error()) }

// regain revokes leases that Vault has given up because the primary could not be asked. Vault tries each lease six
// times within about ten minutes, and then once a day while the node is active. So without this the access of a lease
// would outlive the lease by far. Leases that cannot be revoked for another reason are left to Vault.
func (l *leases) regain(duty context.Context) {
	left := map[string]bool{}
	wanted := func(id, reason string) bool { return !left[id] && l.o.Away(reason) }
	for pause.For(duty, l.o.GivenUpWait) == nil {
		revoked, failed, err := l.core.RevokeGivenUp(duty, wanted, l.away)
		for id, why := range failed {
			left[id] = !l.away(why) && !errors.Is(why, context.DeadlineExceeded)
		}
		if revoked+len(failed) > 0 {
			l.logger.Info("leases that had been given up while the primary could not be reached were revoked", "revoked",
				revoked, "failed", len(failed))
		}
		if err != nil && duty.Err() == nil {
			l.logger.Debug("leases that were given up are looked for again", "error", err)
		}
	}
}
