// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Core is the running core; live.Live is one.
type Core interface {
	// Hold keeps the core active until release is called.
	Hold(ctx context.Context) (release func(), err error)
	Tables
	Mounts
	Leases
	AuditDevices
	Caches
}

// Tables are the tables of mounts and audit devices.
type Tables interface {
	Stored(ctx context.Context, table string) ([]mounttable.Entry, error)
	Running(table string) ([]mounttable.Entry, error)
	// Idle are the mounts of a table that have no backend.
	Idle(table string) ([]mounttable.Entry, error)
}

// Mounts are engines and auth methods that are in service.
type Mounts interface {
	Mount(ctx context.Context, table string, e mounttable.Entry) error
	Unmount(ctx context.Context, table, uuid string) error
	Move(ctx context.Context, table string, to mounttable.Entry) error
	Taint(ctx context.Context, table string, to mounttable.Entry) error
	Tune(ctx context.Context, table string, to mounttable.Entry) error
	Rebuild(ctx context.Context, table, uuid string) error
	ClearView(ctx context.Context, e mounttable.Entry) error
	// Changed tells the backend that has a key.
	Changed(ctx context.Context, key string)
}

// Leases are the leases that this cluster has given out.
type Leases interface {
	// RevokeLeases revokes the leases under the path of a mount. ForgetLeases also removes those that cannot be revoked,
	// except those whose error may pass by later; it says how many were not revoked. The mount may be gone by then.
	RevokeLeases(ctx context.Context, table string, e mounttable.Entry) error
	ForgetLeases(ctx context.Context, table string, e mounttable.Entry, later func(error) bool) (orphans int, err error)
	// RevokeGivenUp revokes leases that Vault has given up: those that wanted accepts, by the reason that Vault noted. It
	// stops at an error for which ends is true. It needs no Hold.
	RevokeGivenUp(ctx context.Context, wanted func(id, reason string) bool, ends func(error) bool) (revoked int,
		failed map[string]error, err error)
}

// AuditDevices are the audit devices of the core.
type AuditDevices interface {
	EnableAudit(ctx context.Context, e mounttable.Entry) error
	DisableAudit(ctx context.Context, path string) error
	HasAuditSalt(ctx context.Context, uuid string) (bool, error)
	AuditSalts(ctx context.Context)
}

// Caches are the parts of shared storage that the core keeps in memory.
type Caches interface {
	Policy(ctx context.Context, name string)
	Quota(ctx context.Context, key string) error
	CORS(ctx context.Context) error
	UIHeaders(ctx context.Context) error
	AuditedHeaders(ctx context.Context) error
	LoginMFA(ctx context.Context, key string) error
	ActivationFlags(ctx context.Context) error
}

// The default bounds of one step.
const (
	DefaultRevokeWait = 10 * time.Second
	DefaultStepWait   = 20 * time.Second
	DefaultRetryWait  = 5 * time.Second
	// DefaultGivenUpWait is the same for leases.
	DefaultGivenUpWait = time.Minute
)

// Options of a Follower; the zero value is usable.
type Options struct {
	// Hidden are mounts that this secondary treats as absent: its paths filter.
	Hidden func(table string, e mounttable.Entry) bool
	// RevokeWait bounds the revoking of the leases of one mount, StepWait every
	// other step.
	RevokeWait, StepWait time.Duration
	// RetryWait is the pause before a failed step is tried again. It doubles with each attempt, up to about sixty times as
	// long.
	RetryWait time.Duration
	// Away says whether an error means that the primary could not be asked. After each GivenUpWait the follower looks for
	// leases that Vault has given up for this reason, and revokes them as soon as the primary can be asked again. Nil
	// looks for none.
	Away        func(said string) bool
	GivenUpWait time.Duration
}

// Follower follows. Start must not run together with any method that takes something up. All other methods may be
// called at any time.
type Follower struct {
	core Core
	*attempts
	mounts
	audit devices

	// taking is held while the core takes something up. Its holder holds the core's state already. Start has that state
	// for itself, so it never waits.
	taking sync.Mutex
	// rechecks says that a comparison of everything waits for its turn.
	rechecks atomic.Bool
}

// New makes a follower of a core.
func New(core Core, logger hclog.Logger, o Options) *Follower {
	if o.Hidden == nil {
		o.Hidden = func(string, mounttable.Entry) bool { return false }
	}
	o.RevokeWait = cmp.Or(o.RevokeWait, DefaultRevokeWait)
	o.StepWait = cmp.Or(o.StepWait, DefaultStepWait)
	o.RetryWait = cmp.Or(o.RetryWait, DefaultRetryWait)
	o.GivenUpWait = cmp.Or(o.GivenUpWait, DefaultGivenUpWait)
	all := &attempts{logger: logger, o: o, duty: context.Background(), lacks: map[string]string{},
		retry: newRetry(o.RetryWait), steps: map[string]chan struct{}{}}
	f := &Follower{core: core, attempts: all, mounts: mounts{leases: leases{attempts: all, core: core}, core: core},
		audit: devices{all, core}}
	all.hold = f.hold
	f.forgetAll()
	return f
}

func (f *Follower) forgetAll() {
	f.built = map[string]map[string]string{}
	f.kv = map[string]string{}
	f.former = map[string]former{}
	f.again = map[string]func(context.Context){}
	f.retry.reset()
}

// Start is called when the node becomes the active node of a performance secondary, before anything is applied, in a
// hook of the unseal, which holds the core's state. The context ends with that duty. Start takes up what was applied to
// storage and not taken up by the core, for example after a crash in between.
func (f *Follower) Start(ctx context.Context) {
	f.taking.Lock()
	defer f.taking.Unlock()
	f.forgetAll()
	f.mu.Lock()
	f.duty = ctx
	// The audit devices have reported by themselves when they were opened.
	maps.DeleteFunc(f.lacks, func(about, _ string) bool { return !strings.HasPrefix(about, "audit ") })
	f.mu.Unlock()
	f.tables(ctx)
	f.persist(ctx, "the headers of the UI", f.core.UIHeaders)
	f.done(len(f.idleMounts()) == 0, "idle mounts", f.retryIdle)
	f.plan()
	if f.o.Away != nil {
		go f.leases.regain(ctx)
	}
}

// Applied takes up keys that were written or deleted, in their order. It returns the keys that it has not taken up,
// because the core could not be held or could not read the change, or because the context has ended. The caller calls
// it with them again. A key is not returned because its mount lacks something, which may last long: then Lacks says so,
// and the follower tries again by itself.
func (f *Follower) Applied(ctx context.Context, keys []string) (left []string) {
	release, err := f.holdSoon(ctx)
	if err != nil {
		return keys
	}
	defer release()
	return f.take(ctx, keys)
}

// RecheckSoon compares all tables again and repeats failed steps, after the filter has changed or a plugin was
// installed. It works in a goroutine, because the caller may hold a lock that this waits for.
func (f *Follower) RecheckSoon() {
	if f.rechecks.Swap(true) {
		return // the one that waits will see the change for which this one was called
	}
	go func() {
		duty := f.onDuty()
		release, err := f.hold(duty)
		f.rechecks.Store(false)
		if err != nil {
			return // everything is taken up when this node becomes active
		}
		defer release()
		f.recheck(duty)
	}()
}

// recheck compares all tables and repeats failed steps.
func (f *Follower) recheck(ctx context.Context) {
	f.tables(ctx)
	f.retryIdle(ctx)
	f.redo(ctx)
}

// HoldWait bounds how long the taking up waits for the core's state. Its holder may be a seal that waits for a request,
// which itself waits for this.
const HoldWait = time.Second

func (f *Follower) holdSoon(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, HoldWait)
	defer cancel()
	return f.hold(ctx)
}

// hold keeps the core active, and keeps others from taking something up.
func (f *Follower) hold(ctx context.Context) (release func(), err error) {
	free, err := f.core.Hold(ctx)
	if err != nil {
		return nil, err
	}
	f.taking.Lock()
	return func() {
		f.plan()
		f.taking.Unlock()
		free()
	}, nil
}

func (f *Follower) tables(ctx context.Context) {
	for _, table := range []string{vaultname.Mounts, vaultname.Auth, vaultname.Audit} {
		f.table(ctx, table)
	}
}

// AuditDevice says that an audit device cannot be opened here, or with nil that
// it is open.
func (f *Follower) AuditDevice(path string, err error) {
	if err == nil {
		f.mend("audit " + path)
		f.logger.Info("an audit device of the primary is open now", "path", path)
		return
	}
	f.lack("audit "+path, fmt.Sprintf("audit device %s cannot be opened here: %v; requests are answered while another "+
		"device logs them", path, err))
}

// Lacks says, in sentences, what this secondary should have and does not have.
func (f *Follower) Lacks() []string {
	var out []string
	for _, table := range []string{vaultname.Mounts, vaultname.Auth} {
		idle, err := f.core.Idle(table)
		if err != nil {
			out = append(out, fmt.Sprintf("the mounts of %s cannot be read: %v", table, err))
		}
		for _, e := range idle {
			out = append(out, fmt.Sprintf("plugin %s is not installed here or does not start: mount %s answers nothing until "+
				"it does", e.Type, vaultname.RequestPath(table, e.Path)))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out = slices.AppendSeq(out, maps.Values(f.lacks))
	slices.Sort(out)
	return out
}
