// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/follow/mounttable"
)

// Core is the running core; vaultcore.Live is one.
type Core interface {
	// Hold keeps the core active until release is called.
	Hold(ctx context.Context) (release func(), err error)

	Stored(ctx context.Context, table string) ([]mounttable.Entry, error)
	Running(table string) ([]mounttable.Entry, error)
	// Idle are the mounts of a table that have no backend.
	Idle(table string) ([]mounttable.Entry, error)

	Mount(ctx context.Context, table string, e mounttable.Entry) error
	Unmount(ctx context.Context, table, uuid string) error
	Move(ctx context.Context, table string, to mounttable.Entry) error
	Taint(ctx context.Context, table string, to mounttable.Entry) error
	Tune(ctx context.Context, table string, to mounttable.Entry) error
	Rebuild(ctx context.Context, table, uuid string) error
	RevokeLeases(ctx context.Context, table, uuid string, force bool) error
	ClearView(ctx context.Context, e mounttable.Entry) error
	Changed(ctx context.Context, key string)

	EnableAudit(ctx context.Context, e mounttable.Entry) error
	DisableAudit(ctx context.Context, path string) error
	HasAuditSalt(ctx context.Context, uuid string) (bool, error)
	AuditSalts(ctx context.Context)

	Policy(ctx context.Context, name string)
	Quota(key string)
	CORS(ctx context.Context) error
	UIHeaders(ctx context.Context) error
	AuditedHeaders(ctx context.Context) error
	LoginMFA(ctx context.Context, key string) error
	ActivationFlags(ctx context.Context) error
}

// The bounds of one step, if Options has none.
const (
	DefaultRevokeWait = 10 * time.Second
	DefaultStepWait   = 20 * time.Second
)

// Options of a Follower; the zero value is usable.
type Options struct {
	// Hidden are mounts that this secondary treats as absent: its paths filter.
	Hidden func(table string, e mounttable.Entry) bool
	// RevokeWait bounds the revoking of the leases of one mount, StepWait every
	// other step.
	RevokeWait, StepWait time.Duration
}

// Follower follows. Applied, Start and Recheck must not be called concurrently
// with each other; Lacks and AuditDevice may be called at any time.
type Follower struct {
	core   Core
	logger hclog.Logger
	o      Options

	// built is what the backends of each table were built from, by UUID, as the
	// primary had stored it.
	built map[string]map[string]string
	// kv are the mounts that wait for the primary to have made them versioned, by
	// the key that says so.
	kv map[string]string

	mu    sync.Mutex
	lacks map[string]string
}

// New makes a follower of a core.
func New(core Core, logger hclog.Logger, o Options) *Follower {
	if o.Hidden == nil {
		o.Hidden = func(string, mounttable.Entry) bool { return false }
	}
	if o.RevokeWait <= 0 {
		o.RevokeWait = DefaultRevokeWait
	}
	if o.StepWait <= 0 {
		o.StepWait = DefaultStepWait
	}
	return &Follower{core: core, logger: logger, o: o, built: map[string]map[string]string{}, kv: map[string]string{}, lacks: map[string]string{}}
}

// Start is called when the node becomes the active one of a performance
// secondary, before anything is applied, while the core's state is held as it is
// in a hook of the unseal. It takes up what was applied to storage and not to the
// core, as after a crash between the two.
func (f *Follower) Start(ctx context.Context) {
	f.built = map[string]map[string]string{}
	f.kv = map[string]string{}
	f.tables(ctx)
	f.try(ctx, f.o.StepWait, "the headers of the UI", "", f.core.UIHeaders)
}

// Applied takes up keys that were written or deleted, in their order.
func (f *Follower) Applied(ctx context.Context, keys []string) {
	release, err := f.core.Hold(ctx)
	if err != nil {
		f.logger.Debug("what was applied is taken up when this node becomes active", "reason", err)
		return
	}
	defer release()
	f.take(ctx, keys)
}

// Recheck compares all tables again: the filter has changed, or a plugin was
// installed.
func (f *Follower) Recheck(ctx context.Context) error {
	release, err := f.core.Hold(ctx)
	if err != nil {
		return fmt.Errorf("the mounts of this secondary cannot be compared now: %w", err)
	}
	defer release()
	f.tables(ctx)
	f.retryIdle(ctx)
	return nil
}

func (f *Follower) tables(ctx context.Context) {
	for _, table := range []string{mounttable.Secrets, mounttable.Auth, mounttable.Audit} {
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
	f.lack("audit "+path, fmt.Sprintf("audit device %s cannot be opened here: %v; requests are answered while another device logs them", path, err))
}

// Lacks says in sentences what this secondary does not have of what it should.
func (f *Follower) Lacks() []string {
	var out []string
	for _, table := range []string{mounttable.Secrets, mounttable.Auth} {
		idle, err := f.core.Idle(table)
		if err != nil {
			out = append(out, fmt.Sprintf("the mounts of %s cannot be read: %v", table, err))
		}
		for _, e := range idle {
			out = append(out, fmt.Sprintf("plugin %s is not installed here or does not start: mount %s answers nothing until it does", e.Type, apiPath(table, e)))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range f.lacks {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func apiPath(table string, e mounttable.Entry) string {
	if table == mounttable.Auth {
		return "auth/" + e.Path
	}
	return e.Path
}

func (f *Follower) lack(about, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lacks[about] != text {
		f.logger.Warn("this secondary lacks something of the primary", "what", text)
	}
	f.lacks[about] = text
}

func (f *Follower) mend(about string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lacks, about)
}

// try does a step within a bound. A failure is what the secondary lacks until
// the same step succeeds; about names it, what if it is empty.
func (f *Follower) try(ctx context.Context, wait time.Duration, what, about string, step func(context.Context) error) bool {
	if about == "" {
		about = what
	}
	if err := bounded(ctx, wait, step); err != nil {
		if ctx.Err() == nil {
			f.lack(about, fmt.Sprintf("%s could not be taken over: %v; it is tried again at its next change, and when this node becomes active", what, err))
		}
		return false
	}
	f.mend(about)
	return true
}

// bounded runs a step and waits for it for a while. A step that does not heed
// its context, in a plugin that hangs, is left to itself then.
func bounded(ctx context.Context, wait time.Duration, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- step(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// It may have ended in the same moment, or be about to for the same reason.
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return fmt.Errorf("it took longer than %s", wait)
	}
}

// grace is what a step has to notice that its time is up.
const grace = 200 * time.Millisecond
