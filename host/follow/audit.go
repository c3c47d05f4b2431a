// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-replication/vault-replication/host/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// auditStep enables and disables. A device whose settings changed is another one.
func (f *Follower) auditStep(ctx context.Context, table string, s mounttable.Step) bool {
	switch s.Op {
	case mounttable.Add:
		return f.enableAudit(ctx, s.New)
	case mounttable.Remove:
		return f.disableAudit(ctx, s.Old)
	case mounttable.Tune, mounttable.Move:
		return f.disableAudit(ctx, s.Old) && f.enableAudit(ctx, s.New)
	case mounttable.Taint, mounttable.Untaint, mounttable.Rebuild: // not of audit devices
	case mounttable.Refuse:
		f.lack(subject("refused", table, s.New.UUID), fmt.Sprintf("the primary has an audit device at %s and this secondary a local one at %s: the local one stays", s.New.Path, s.Blocker.Path))
		return false
	}
	return true
}

func (f *Follower) enableAudit(ctx context.Context, e mounttable.Entry) bool {
	f.mend(subject("refused", vaultname.Audit, e.UUID))
	about := "audit " + e.Path
	if e.Options["log_raw"] != "true" {
		ready := false
		err := f.bounded(ctx, f.o.StepWait, about, func(ctx context.Context) (err error) {
			ready, err = f.core.HasAuditSalt(ctx, e.UUID)
			return err
		})
		if err == nil && !ready {
			// The primary writes it with the first entry that it logs.
			f.logger.Debug("an audit device of the primary is enabled when its salt has come", "path", e.Path)
			return true
		}
	}
	if err := f.bounded(ctx, f.o.StepWait, about, func(ctx context.Context) error { return f.core.EnableAudit(ctx, e) }); err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			f.lack(about, fmt.Sprintf("audit device %s could not be enabled here: %v; it is tried again", e.Path, err))
		}
		return false
	}
	f.logger.Info("the primary enabled an audit device", "path", e.Path, "type", e.Type)
	return true
}

func (f *Follower) disableAudit(ctx context.Context, e mounttable.Entry) bool {
	about := "audit " + e.Path
	if !f.try(ctx, f.o.StepWait, "the end of the audit device "+e.Path, about, func(ctx context.Context) error { return f.core.DisableAudit(ctx, e.Path) }) {
		return false
	}
	f.logger.Info("the primary disabled an audit device", "path", e.Path)
	return true
}
