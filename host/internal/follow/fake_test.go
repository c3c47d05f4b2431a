// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// fakeCore notes what it is asked to do, and keeps tables.
type fakeCore struct {
	mu      sync.Mutex
	calls   []string
	stored  map[string][]mounttable.Entry
	running map[string][]mounttable.Entry
	noBack  map[string]bool          // UUIDs whose backend cannot be built
	noSalt  map[string]bool          // UUIDs of audit devices without a salt
	fail    map[string]error         // by the first word of a call
	hang    map[string]bool          // calls that wait for the end of their context
	stuck   map[string]chan struct{} // calls that wait for this, whatever their context says
	ends    map[string]func()        // what happens in a call
	givenUp map[string]string        // leases that Vault has given up, with the reason
	lasting map[string]error         // and those that still cannot be revoked
	held    int
	refuse  error
}

func newFake() *fakeCore {
	return &fakeCore{
		stored: map[string][]mounttable.Entry{}, running: map[string][]mounttable.Entry{},
		noBack: map[string]bool{}, noSalt: map[string]bool{}, fail: map[string]error{}, hang: map[string]bool{},
		stuck: map[string]chan struct{}{},
		ends:  map[string]func(){},
	}
}

func (c *fakeCore) call(ctx context.Context, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	name, _, _ := strings.Cut(text, " ")
	c.mu.Lock()
	if c.held == 0 {
		text = "UNHELD " + text
	}
	c.calls = append(c.calls, text)
	err, hang, stuck, end := c.fail[name], c.hang[name], c.stuck[name], c.ends[name]
	c.mu.Unlock()
	if end != nil {
		end()
	}
	if stuck != nil {
		<-stuck
	}
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// asked says whether there was a call.
func (c *fakeCore) asked(call string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.calls, call)
}

// done are the calls since the last time.
func (c *fakeCore) done() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := strings.Join(c.calls, ", ")
	c.calls = nil
	return out
}

func (c *fakeCore) Hold(context.Context) (func(), error) {
	if c.refuse != nil {
		return nil, c.refuse
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held--
	}, nil
}

// with changes what the fake does, beside a follower that tries again.
func (c *fakeCore) with(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *fakeCore) Stored(_ context.Context, table string) ([]mounttable.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stored[table], c.fail["stored"]
}

func (c *fakeCore) Running(table string) ([]mounttable.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[table], nil
}

func (c *fakeCore) Idle(table string) (idle []mounttable.Entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.running[table] {
		if c.noBack[e.UUID] {
			idle = append(idle, e)
		}
	}
	return idle, nil
}

func (c *fakeCore) set(table string, e mounttable.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[table] = append(without(c.running[table], e.UUID), e)
}

func without(entries []mounttable.Entry, uuid string) (out []mounttable.Entry) {
	for _, e := range entries {
		if e.UUID != uuid {
			out = append(out, e)
		}
	}
	return out
}

func (c *fakeCore) Mount(ctx context.Context, table string, e mounttable.Entry) error {
	if err := c.call(ctx, "mount %s", e.UUID); err != nil {
		return err
	}
	c.set(table, e)
	if c.noBack[e.UUID] {
		return errors.New("plugin not found")
	}
	return nil
}

func (c *fakeCore) Unmount(ctx context.Context, table, uuid string) error {
	if err := c.call(ctx, "unmount %s", uuid); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[table] = without(c.running[table], uuid)
	return nil
}

func (c *fakeCore) Move(ctx context.Context, table string, to mounttable.Entry) error {
	c.set(table, to)
	return c.call(ctx, "move %s", to.UUID)
}

func (c *fakeCore) Taint(ctx context.Context, table string, to mounttable.Entry) error {
	c.set(table, to)
	return c.call(ctx, "taint %s %v", to.UUID, to.Tainted)
}

func (c *fakeCore) Tune(ctx context.Context, table string, to mounttable.Entry) error {
	c.set(table, to)
	return c.call(ctx, "tune %s", to.UUID)
}

func (c *fakeCore) Rebuild(ctx context.Context, _, uuid string) error {
	if err := c.call(ctx, "rebuild %s", uuid); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.noBack, uuid)
	return nil
}

func (c *fakeCore) RevokeLeases(ctx context.Context, _ string, e mounttable.Entry) error {
	return c.call(ctx, "revoke %s", e.UUID)
}

func (c *fakeCore) ForgetLeases(ctx context.Context, _ string, e mounttable.Entry, later func(error) bool) (int,
	error) {
	err := c.call(ctx, "forget %s", e.UUID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed := c.fail["revoke"]; failed != nil && later(failed) {
		return 0, failed
	}
	if c.fail["revoke"] != nil || c.hang["revoke"] {
		return 1, err
	}
	return 0, err
}

func (c *fakeCore) RevokeGivenUp(_ context.Context, wanted func(id, reason string) bool,
	ends func(error) bool) (revoked int, failed map[string]error, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed = map[string]error{}
	for _, id := range slices.Sorted(maps.Keys(c.givenUp)) {
		if !wanted(id, c.givenUp[id]) {
			continue
		}
		c.calls = append(c.calls, "again "+id)
		if err := c.lasting[id]; err != nil {
			failed[id] = err
			if ends(err) {
				break
			}
			continue
		}
		delete(c.givenUp, id)
		revoked++
	}
	return revoked, failed, nil
}

func (c *fakeCore) ClearView(ctx context.Context, e mounttable.Entry) error {
	return c.call(ctx, "clear %s", e.UUID)
}
func (c *fakeCore) Changed(ctx context.Context, key string) { _ = c.call(ctx, "changed %s", key) }

func (c *fakeCore) EnableAudit(ctx context.Context, e mounttable.Entry) error {
	c.set(vaultname.Audit, e)
	return c.call(ctx, "enable %s", e.UUID)
}

func (c *fakeCore) DisableAudit(ctx context.Context, path string) error {
	c.mu.Lock()
	c.running[vaultname.Audit] = nil
	c.mu.Unlock()
	return c.call(ctx, "disable %s", path)
}

func (c *fakeCore) HasAuditSalt(_ context.Context, uuid string) (bool, error) {
	return !c.noSalt[uuid], nil
}
func (c *fakeCore) AuditSalts(ctx context.Context)               { _ = c.call(ctx, "salts") }
func (c *fakeCore) Policy(ctx context.Context, name string)      { _ = c.call(ctx, "policy %s", name) }
func (c *fakeCore) Quota(ctx context.Context, k string) error    { return c.call(ctx, "quota %s", k) }
func (c *fakeCore) CORS(ctx context.Context) error               { return c.call(ctx, "cors") }
func (c *fakeCore) UIHeaders(ctx context.Context) error          { return c.call(ctx, "ui") }
func (c *fakeCore) AuditedHeaders(ctx context.Context) error     { return c.call(ctx, "headers") }
func (c *fakeCore) LoginMFA(ctx context.Context, k string) error { return c.call(ctx, "mfa %s", k) }
func (c *fakeCore) ActivationFlags(ctx context.Context) error    { return c.call(ctx, "flags") }

func mount(t *testing.T, uuid, path string, more ...string) mounttable.Entry {
	t.Helper()
	text := fmt.Sprintf(`{"uuid":%q,"path":%q,"type":"kv","backend_aware_uuid":"b%s"`, uuid, path, uuid)
	for _, m := range more {
		text += "," + m
	}
	raw, err := json.Marshal(map[string]any{"entries": []json.RawMessage{json.RawMessage(text + "}")}})
	require.NoError(t, err)
	entries, err := mounttable.Decode(raw)
	require.NoError(t, err)
	return entries[0]
}

func newFollower(c *fakeCore) *Follower {
	return New(c, hclog.NewNullLogger(), Options{RevokeWait: 50 * time.Millisecond, StepWait: 50 * time.Millisecond})
}

// Recheck is RecheckSoon, and returns when it is done.
func (f *Follower) Recheck(ctx context.Context) error {
	release, err := f.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	f.recheck(ctx)
	return nil
}
