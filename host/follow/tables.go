// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/vault-replication/vault-replication/host/follow/mounttable"
)

// table makes the core run the mounts of a stored table.
func (f *Follower) table(ctx context.Context, table string) {
	var stored, running []mounttable.Entry
	read := f.try(ctx, f.o.StepWait, "the table "+table, "", func(ctx context.Context) (err error) {
		if stored, err = f.core.Stored(ctx, table); err != nil {
			return err
		}
		running, err = f.core.Running(table)
		return err
	})
	if !read {
		return
	}
	hidden := func(e mounttable.Entry) bool { return f.o.Hidden(table, e) }
	for _, step := range mounttable.Diff(running, stored, hidden, f.built[table]) {
		if ctx.Err() != nil {
			return
		}
		if table == mounttable.Audit {
			f.auditStep(ctx, step)
		} else {
			f.step(ctx, table, step)
		}
	}
	f.built[table] = mounttable.BuiltOf(stored)
	f.forget(table, stored)
}

// forget drops what is said of mounts that the primary no longer has.
func (f *Follower) forget(table string, stored []mounttable.Entry) {
	has := map[string]bool{}
	for _, e := range stored {
		has[e.UUID] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for about := range f.lacks {
		if uuid, ok := refusedOf(table, about); ok && !has[uuid] {
			delete(f.lacks, about)
		}
	}
}

func refused(table, uuid string) string { return "refused " + table + " " + uuid }

func refusedOf(table, about string) (uuid string, ok bool) {
	prefix := refused(table, "")
	if len(about) <= len(prefix) || about[:len(prefix)] != prefix {
		return "", false
	}
	return about[len(prefix):], true
}

func (f *Follower) step(ctx context.Context, table string, s mounttable.Step) {
	path := apiPath(table, s.New)
	switch s.Op {
	case mounttable.Add:
		f.add(ctx, table, s.New)
	case mounttable.Refuse:
		f.lack(refused(table, s.New.UUID), fmt.Sprintf(
			"the primary has a mount at %s and this secondary a local one at %s: the local one stays; move or disable it here, and the primary's appears at its next change",
			path, apiPath(table, s.Blocker)))
	case mounttable.Taint:
		f.try(ctx, f.o.StepWait, "the end of "+path, "", func(ctx context.Context) error { return f.core.Taint(ctx, table, s.New) })
		f.revoke(ctx, table, s.New)
	case mounttable.Untaint:
		f.try(ctx, f.o.StepWait, "the end of "+path, "", func(ctx context.Context) error { return f.core.Taint(ctx, table, s.New) })
	case mounttable.Remove:
		f.remove(ctx, table, s.Old)
	case mounttable.Move:
		// The primary revokes its own leases when it moves a mount. Those that are left
		// here could not be revoked under the new path.
		if !s.Old.Tainted {
			f.revoke(ctx, table, s.Old)
		}
		f.try(ctx, f.o.StepWait, "the move of "+apiPath(table, s.Old)+" to "+path, "", func(ctx context.Context) error {
			return f.core.Move(ctx, table, s.New)
		})
	case mounttable.Tune:
		f.try(ctx, f.o.StepWait, "the tuning of "+path, "", func(ctx context.Context) error { return f.core.Tune(ctx, table, s.New) })
	case mounttable.Rebuild:
		f.awaitVersioned(s.New)
		f.rebuild(ctx, table, s.New)
	}
}

func (f *Follower) add(ctx context.Context, table string, e mounttable.Entry) {
	f.mend(refused(table, e.UUID))
	f.awaitVersioned(e)
	path := apiPath(table, e)
	err := bounded(ctx, f.o.StepWait, func(ctx context.Context) error { return f.core.Mount(ctx, table, e) })
	switch {
	case err == nil:
		f.mend("mount " + e.UUID)
		f.logger.Info("the primary mounted an engine", "path", path, "type", e.Type)
	case ctx.Err() == nil && f.idle(table, e.UUID):
		// Lacks finds it by itself as long as it answers nothing.
		f.logger.Warn("an engine of the primary cannot be started here: its mount answers nothing until the plugin is installed and reloaded", "path", path, "type", e.Type, "error", err)
	case ctx.Err() == nil:
		f.lack("mount "+e.UUID, fmt.Sprintf("mount %s of the primary could not be made here: %v", path, err))
	}
}

func (f *Follower) idle(table, uuid string) bool {
	idle, err := f.core.Idle(table)
	if err != nil {
		return false
	}
	for _, e := range idle {
		if e.UUID == uuid {
			return true
		}
	}
	return false
}

// revoke revokes what this secondary gave out of a mount that is about to go.
func (f *Follower) revoke(ctx context.Context, table string, e mounttable.Entry) {
	path := apiPath(table, e)
	err := bounded(ctx, f.o.RevokeWait, func(ctx context.Context) error { return f.core.RevokeLeases(ctx, table, e.UUID, false) })
	if err != nil && ctx.Err() == nil {
		f.lack("leases of "+e.UUID, fmt.Sprintf("not all leases of %s were revoked before it was unmounted or moved: %v; what they gave access to may still be valid", path, err))
	}
}

func (f *Follower) remove(ctx context.Context, table string, e mounttable.Entry) {
	path := apiPath(table, e)
	gone := e
	gone.Tainted = true
	f.try(ctx, f.o.StepWait, "the end of "+path, "", func(ctx context.Context) error { return f.core.Taint(ctx, table, gone) })
	if !e.Tainted {
		f.revoke(ctx, table, e)
	}
	// No lease may be left without its engine: it could never be revoked.
	f.try(ctx, f.o.RevokeWait, "the forgetting of the leases of "+path, "", func(ctx context.Context) error {
		return f.core.RevokeLeases(ctx, table, e.UUID, true)
	})
	if !f.try(ctx, f.o.StepWait, "the unmounting of "+path, "", func(ctx context.Context) error { return f.core.Unmount(ctx, table, e.UUID) }) {
		return
	}
	f.mend("mount " + e.UUID)
	f.try(ctx, f.o.StepWait, "the clearing of what "+path+" left", "", func(ctx context.Context) error { return f.core.ClearView(ctx, e) })
	f.logger.Info("the primary unmounted an engine", "path", path, "type", e.Type)
}

func (f *Follower) rebuild(ctx context.Context, table string, e mounttable.Entry) {
	f.try(ctx, f.o.StepWait, "the new version of "+apiPath(table, e), "", func(ctx context.Context) error {
		return f.core.Rebuild(ctx, table, e.UUID)
	})
}

// retryIdle tries again the mounts that have no backend.
func (f *Follower) retryIdle(ctx context.Context) {
	for _, table := range []string{mounttable.Secrets, mounttable.Auth} {
		idle, err := f.core.Idle(table)
		if err != nil {
			continue
		}
		for _, e := range idle {
			err := bounded(ctx, f.o.StepWait, func(ctx context.Context) error { return f.core.Rebuild(ctx, table, e.UUID) })
			if err != nil {
				f.logger.Debug("a mount still answers nothing", "path", apiPath(table, e), "error", err)
				continue
			}
			f.logger.Info("a mount that answered nothing works", "path", apiPath(table, e))
		}
	}
}

// awaitVersioned remembers the key that ends the upgrade of a versioned kv
// mount. On a secondary the engine asks storage once a second whether the primary
// is done, and refuses requests until then; one that is built after it starts at
// once.
func (f *Follower) awaitVersioned(e mounttable.Entry) {
	if version, err := strconv.Atoi(e.Options["version"]); e.Type == "kv" && err == nil && version == 2 {
		f.kv["logical/"+e.UUID+"/"+e.BackendUUID+"/upgrading"] = e.UUID
	}
}

func (f *Follower) versioned(ctx context.Context, uuid string) {
	running, err := f.core.Running(mounttable.Secrets)
	if err != nil {
		return
	}
	for _, e := range running {
		if e.UUID == uuid {
			f.rebuild(ctx, mounttable.Secrets, e)
		}
	}
}

// auditStep enables and disables. A device whose settings changed is another one.
func (f *Follower) auditStep(ctx context.Context, s mounttable.Step) {
	switch s.Op {
	case mounttable.Add:
		f.enableAudit(ctx, s.New)
	case mounttable.Remove:
		f.disableAudit(ctx, s.Old)
	case mounttable.Tune, mounttable.Move:
		f.disableAudit(ctx, s.Old)
		f.enableAudit(ctx, s.New)
	case mounttable.Refuse:
		f.lack(refused(mounttable.Audit, s.New.UUID), fmt.Sprintf("the primary has an audit device at %s and this secondary a local one at %s: the local one stays", s.New.Path, s.Blocker.Path))
	}
}

func (f *Follower) enableAudit(ctx context.Context, e mounttable.Entry) {
	f.mend(refused(mounttable.Audit, e.UUID))
	if e.Options["log_raw"] != "true" {
		ready := false
		err := bounded(ctx, f.o.StepWait, func(ctx context.Context) (err error) {
			ready, err = f.core.HasAuditSalt(ctx, e.UUID)
			return err
		})
		if err == nil && !ready {
			// The primary writes it with the first entry that it logs.
			f.logger.Debug("an audit device of the primary is enabled when its salt has come", "path", e.Path)
			return
		}
	}
	if err := bounded(ctx, f.o.StepWait, func(ctx context.Context) error { return f.core.EnableAudit(ctx, e) }); err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			f.lack("audit "+e.Path, fmt.Sprintf("audit device %s could not be enabled here: %v", e.Path, err))
		}
		return
	}
	f.logger.Info("the primary enabled an audit device", "path", e.Path, "type", e.Type)
}

func (f *Follower) disableAudit(ctx context.Context, e mounttable.Entry) {
	if f.try(ctx, f.o.StepWait, "the end of the audit device "+e.Path, "", func(ctx context.Context) error { return f.core.DisableAudit(ctx, e.Path) }) {
		f.mend("audit " + e.Path)
		f.logger.Info("the primary disabled an audit device", "path", e.Path)
	}
}
