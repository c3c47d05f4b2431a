// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// devices are the audit devices.
type devices struct {
	*attempts
	core AuditDevices
}

// step enables or disables a device. A device with changed settings counts as another one.
func (d devices) step(ctx context.Context, table string, s mounttable.Step) bool {
	switch s.Op {
	case mounttable.Add:
		return d.enable(ctx, s.New)
	case mounttable.Remove:
		return d.disable(ctx, s.Old)
	case mounttable.Tune, mounttable.Move:
		return d.disable(ctx, s.Old) && d.enable(ctx, s.New)
	case mounttable.Taint, mounttable.Untaint, mounttable.Rebuild: // audit devices have no such steps
	case mounttable.Refuse:
		d.lack(subject("refused", table, s.New.UUID), fmt.Sprintf("the primary has an audit device at %s and this "+
			"secondary a local one at %s: the local one stays", s.New.Path, s.Blocker.Path))
		return false
	}
	return true
}

func (d devices) enable(ctx context.Context, e mounttable.Entry) bool {
	d.mend(subject("refused", vaultname.Audit, e.UUID))
	about := "audit " + e.Path
	if e.Options["log_raw"] != "true" {
		ready := false
		err := d.bounded(ctx, d.o.StepWait, about, func(ctx context.Context) (err error) {
			ready, err = d.core.HasAuditSalt(ctx, e.UUID)
			return err
		})
		if err == nil && !ready {
			// The primary writes it with the first entry that it logs.
			d.logger.Debug("an audit device of the primary is enabled when its salt has come", "path", e.Path)
			return true
		}
	}
	if err := d.bounded(ctx, d.o.StepWait, about,
		func(ctx context.Context) error { return d.core.EnableAudit(ctx, e) }); err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			d.lack(about, fmt.Sprintf("audit device %s could not be enabled here: %v; it is tried again", e.Path, err))
		}
		return false
	}
	d.logger.Info("the primary enabled an audit device", "path", e.Path, "type", e.Type)
	return true
}

func (d devices) disable(ctx context.Context, e mounttable.Entry) bool {
	about := "audit " + e.Path
	if !d.try(ctx, d.o.StepWait, "the end of the audit device "+e.Path, about,
		func(ctx context.Context) error { return d.core.DisableAudit(ctx, e.Path) }) {
		return false
	}
	d.logger.Info("the primary disabled an audit device", "path", e.Path)
	return true
}
