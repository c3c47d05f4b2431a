// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// table has the core run the mounts of a stored table, now or later. It says whether the table could be read: then the
// follower does the rest by itself.
func (f *Follower) table(ctx context.Context, table string) bool {
	read, all := f.compare(ctx, table)
	f.done(all, "the table "+table, func(ctx context.Context) { f.table(ctx, table) })
	return read
}

// compare does all steps that the table asks for, and says whether all succeeded.
func (f *Follower) compare(ctx context.Context, table string) (read, all bool) {
	var stored, running []mounttable.Entry
	about := "the table " + table
	read = f.try(ctx, f.o.StepWait, about, about, func(ctx context.Context) (err error) {
		if stored, err = f.core.Stored(ctx, table); err != nil {
			return err
		}
		running, err = f.core.Running(table)
		return err
	})
	if !read {
		return false, false
	}
	all = true
	hidden := func(e mounttable.Entry) bool { return f.o.Hidden(table, e) }
	built := mounttable.BuiltOf(stored)
	for _, step := range mounttable.Diff(running, stored, hidden, f.built[table]) {
		if ctx.Err() != nil {
			return false, false
		}
		do := f.step
		if table == vaultname.Audit {
			do = f.audit.step
		}
		if do(ctx, table, step) {
			continue
		}
		all = false
		if step.Op == mounttable.Rebuild {
			// The next comparison must find a difference again, and the settings will not differ any more.
			built[step.New.UUID] = ""
		}
	}
	f.built[table] = built
	f.forget(table, stored)
	return true, all
}

// ends are the kinds of lacks that last as long as the primary has the mount.
var ends = []string{"refused", "mount", "end", "move", "tuning", "version"}

// forget drops the lacks of mounts that the primary no longer has.
func (f *Follower) forget(table string, stored []mounttable.Entry) {
	has := map[string]bool{}
	for _, e := range stored {
		has[e.UUID] = true
	}
	gone := func(about string) bool {
		kind, of, uuid, ok := ofMount(about)
		return ok && of == table && !has[uuid] && slices.Contains(ends, kind)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.lacks, func(about, _ string) bool { return gone(about) })
}

// mounts are the engines and auth methods.
type mounts struct {
	leases
	core interface {
		Tables
		Mounts
	}
	// built has the stored settings from which the backends of each table were built, by UUID.
	built map[string]map[string]string
	// kv are the mounts whose upgrade to versions the primary has not ended, by the key that shows its end.
	kv map[string]string
}

// step does one step.
func (m *mounts) step(ctx context.Context, table string, s mounttable.Step) bool {
	path := vaultname.RequestPath(table, s.New.Path)
	about := func(kind string) string { return subject(kind, table, s.New.UUID) }
	switch s.Op {
	case mounttable.Add:
		return m.add(ctx, table, s.New)
	case mounttable.Refuse:
		m.lack(about("refused"), fmt.Sprintf(
			"the primary has a mount at %s and this secondary a local one at %s: the local one stays; move or disable it "+
				"here, and the primary's appears",
			path, vaultname.RequestPath(table, s.Blocker.Path)))
		return false // a local mount moves only some time after the request
	case mounttable.Taint:
		tainted := m.taint(ctx, table, s.New)
		m.revoke(ctx, table, s.New)
		return tainted
	case mounttable.Untaint:
		m.leases.keep(table, s.New.UUID)
		return m.taint(ctx, table, s.New)
	case mounttable.Remove:
		return m.remove(ctx, table, s.Old)
	case mounttable.Move:
		return m.move(ctx, table, s.Old, s.New)
	case mounttable.Tune:
		return m.try(ctx, m.o.StepWait, "the tuning of "+path, about("tuning"),
			func(ctx context.Context) error { return m.core.Tune(ctx, table, s.New) })
	case mounttable.Rebuild:
		m.awaitVersioned(s.New)
		return m.rebuild(ctx, table, s.New)
	}
	return true
}

// taint stops or admits requests to a mount.
func (m *mounts) taint(ctx context.Context, table string, to mounttable.Entry) bool {
	return m.try(ctx, m.o.StepWait, "the end of "+vaultname.RequestPath(table, to.Path), subject("end", table, to.UUID),
		func(ctx context.Context) error {
			return m.core.Taint(ctx, table, to)
		})
}

func (m *mounts) add(ctx context.Context, table string, e mounttable.Entry) bool {
	m.mend(subject("refused", table, e.UUID))
	m.awaitVersioned(e)
	path, about := vaultname.RequestPath(table, e.Path), subject("mount", table, e.UUID)
	err := m.clean(ctx, table, e.Path)
	if err == nil {
		err = m.bounded(ctx, m.o.StepWait, about, func(ctx context.Context) error { return m.core.Mount(ctx, table, e) })
	}
	switch {
	case err == nil:
		m.mend(about)
		m.logger.Info("the primary mounted an engine", "path", path, "type", e.Type)
		return true
	case ctx.Err() != nil:
		return false
	case m.isIdle(table, e.UUID):
		m.mend(about)
		// As long as the mount does not answer, Lacks finds it by itself.
		m.logger.Warn("an engine of the primary cannot be started here: its mount answers nothing until the plugin is "+
			"installed and reloaded", "path", path, "type", e.Type, "error", err)
		m.again["idle mounts"] = m.retryIdle
		return true
	default:
		m.lack(about, fmt.Sprintf("mount %s of the primary could not be made here: %v; it is tried again", path, err))
		return false
	}
}

// idle is a mount without a backend.
type idle struct {
	table string
	mounttable.Entry
}

func (m *mounts) idleMounts() (all []idle) {
	for _, table := range []string{vaultname.Mounts, vaultname.Auth} {
		entries, err := m.core.Idle(table)
		if err != nil {
			continue // said by Lacks
		}
		for _, e := range entries {
			all = append(all, idle{table, e})
		}
	}
	return all
}

func (m *mounts) isIdle(table, uuid string) bool {
	return slices.ContainsFunc(m.idleMounts(), func(i idle) bool { return i.table == table && i.UUID == uuid })
}

func (m *mounts) remove(ctx context.Context, table string, e mounttable.Entry) bool {
	path := vaultname.RequestPath(table, e.Path)
	gone := e
	gone.Tainted = true
	m.taint(ctx, table, gone)
	ended, wait := m.leases.end(ctx, table, e)
	if wait {
		return false
	}
	unmounted := m.try(ctx, m.o.StepWait, "the unmounting of "+path, subject("unmount", table, e.UUID),
		func(ctx context.Context) error {
			return m.core.Unmount(ctx, table, e.UUID)
		})
	if !unmounted {
		return false
	}
	if !ended {
		m.endFormer(ctx, table, e)
	}
	m.clear(ctx, table, e)
	m.logger.Info("the primary unmounted an engine", "path", path, "type", e.Type)
	return true
}

// move moves a mount. The primary revokes its own leases first, and so does this
// secondary.
func (m *mounts) move(ctx context.Context, table string, from, to mounttable.Entry) bool {
	ended, wait := m.leases.end(ctx, table, from)
	if wait {
		return false
	}
	what := "the move of " + vaultname.RequestPath(table, from.Path) + " to " + vaultname.RequestPath(table, to.Path)
	clean := m.clean(ctx, table, to.Path)
	moved := m.try(ctx, m.o.StepWait, what, subject("move", table, to.UUID), func(ctx context.Context) error {
		if clean != nil {
			return clean
		}
		return m.core.Move(ctx, table, to)
	})
	if moved && !ended {
		m.endFormer(ctx, table, from)
	}
	return moved
}

// clear deletes the storage of a mount that is gone.
func (m *mounts) clear(ctx context.Context, table string, e mounttable.Entry) {
	about := subject("clearing", table, e.UUID)
	cleared := m.try(ctx, m.o.StepWait, "the clearing of what "+vaultname.RequestPath(table, e.Path)+" left", about,
		func(ctx context.Context) error {
			return m.core.ClearView(ctx, e)
		})
	m.done(cleared, about, func(ctx context.Context) { m.clear(ctx, table, e) })
}

func (m *mounts) rebuild(ctx context.Context, table string, e mounttable.Entry) bool {
	return m.try(ctx, m.o.StepWait, "the new version of "+vaultname.RequestPath(table, e.Path),
		subject("version", table, e.UUID), func(ctx context.Context) error {
			return m.core.Rebuild(ctx, table, e.UUID)
		})
}

// retryIdle tries again the mounts that have no backend.
func (m *mounts) retryIdle(ctx context.Context) {
	all := true
	for _, i := range m.idleMounts() {
		err := m.bounded(ctx, m.o.StepWait, subject("version", i.table, i.UUID),
			func(ctx context.Context) error { return m.core.Rebuild(ctx, i.table, i.UUID) })
		if err != nil {
			all = false
			m.logger.Debug("a mount still answers nothing", "path", vaultname.RequestPath(i.table, i.Entry.Path), "error", err)
			continue
		}
		m.logger.Info("a mount that answered nothing works", "path", vaultname.RequestPath(i.table, i.Entry.Path))
	}
	m.done(all, "idle mounts", m.retryIdle)
}

// awaitVersioned remembers the key that shows the end of the upgrade of a versioned kv mount. On a secondary the engine
// polls the storage once a second for the end of the primary's upgrade, and refuses requests until then. An engine that
// is built after the end starts at once.
func (m *mounts) awaitVersioned(e mounttable.Entry) {
	if version, err := strconv.Atoi(e.Options["version"]); e.Type == "kv" && err == nil && version == 2 {
		m.kv["logical/"+e.UUID+"/"+e.BackendUUID+"/upgrading"] = e.UUID
	}
}

func (m *mounts) versioned(ctx context.Context, uuid string) {
	about := subject("upgrade", vaultname.Mounts, uuid)
	running, err := m.core.Running(vaultname.Mounts)
	i := slices.IndexFunc(running, func(e mounttable.Entry) bool { return e.UUID == uuid })
	m.done(err == nil && (i < 0 || m.rebuild(ctx, vaultname.Mounts, running[i])), about,
		func(ctx context.Context) { m.versioned(ctx, uuid) })
}
