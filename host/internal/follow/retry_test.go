// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// patient is for conditions that come by themselves.
const patient = 30 * time.Second

// newPersistent is a follower that tries again at once.
func newPersistent(c *fakeCore) *Follower {
	return New(c, hclog.NewNullLogger(), Options{RevokeWait: patient, StepWait: patient, RetryWait: time.Millisecond})
}

// settled says that nothing is lacked and nothing is being taken up: what is lacked
// is mended in the middle of a step that goes on.
func settled(f *Follower) func() bool {
	return func() bool {
		f.taking.Lock()
		defer f.taking.Unlock()
		return len(f.Lacks()) == 0
	}
}

// What has failed is tried again though nothing changes any more.
func TestWhatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	old, changed := mount(t, "1", "a/"), mount(t, "1", "a/", `"options":{"version":"1"}`)
	for name, tt := range map[string]struct {
		fail            string
		running, stored []mounttable.Entry
		key, want       string
	}{
		"a mount":        {"mount", nil, []mounttable.Entry{old}, vaultname.Mounts, "mount 1"},
		"an unmount":     {"unmount", []mounttable.Entry{old}, nil, vaultname.Mounts, "unmount 1"},
		"what is stored": {"clear", []mounttable.Entry{old}, nil, vaultname.Mounts, "clear 1"},
		// The settings are those of the primary by then: the table alone shows no difference.
		"another backend": {"rebuild", []mounttable.Entry{old}, []mounttable.Entry{changed}, vaultname.Mounts, "rebuild 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := newFake()
			core.running[vaultname.Mounts], core.stored[vaultname.Mounts] = tt.running, tt.stored
			core.fail[tt.fail] = errors.New("not now")
			f := newPersistent(core)
			require.Empty(t, f.Applied(context.Background(), []string{tt.key}), "the follower has it from there on")
			require.Len(t, f.Lacks(), 1)
			require.Contains(t, f.Lacks()[0], "not now")
			core.with(func() { delete(core.fail, tt.fail) })
			core.done()
			require.Eventually(t, settled(f), patient, time.Millisecond)
			require.Contains(t, core.done(), tt.want)
			f.Applied(context.Background(), []string{vaultname.Mounts})
			require.Empty(t, core.done(), "it was done")
		})
	}
}

// A backend of before goes on, and what it has cached; one that could not be told of
// a change is built anew.
func TestEngineThatMissedAChangeIsBuiltAnew(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Auth] = []mounttable.Entry{mount(t, "1", "a/")}
	core.stored[vaultname.Auth] = core.running[vaultname.Auth]
	core.hang["changed"] = true
	f.Applied(ctx, []string{"auth/1/config"})
	require.Len(t, f.Lacks(), 1)
	core.done()
	require.NoError(t, f.Recheck(ctx))
	require.Equal(t, "rebuild 1", core.done())
	require.Empty(t, f.Lacks())
	require.NoError(t, f.Recheck(ctx))
	require.Empty(t, core.done())
}

// Trying again does not become a load of its own.
func TestAttemptsAreFurtherAndFurtherApart(t *testing.T) {
	t.Parallel()
	core := newFake()
	f := newFollower(core)
	core.fail["mount"] = errors.New("broken")
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	f.retry = newRetry(time.Second)
	before := time.Second
	require.Equal(t, before, f.retry.NextBackOff())
	for range 20 {
		wait := f.retry.NextBackOff()
		require.GreaterOrEqual(t, wait, before)
		before = wait
	}
	require.Equal(t, 64*time.Second, before)
	f.Applied(context.Background(), []string{vaultname.Mounts})
	timer := f.retry.timer
	require.NotNil(t, timer)
	f.Applied(context.Background(), []string{vaultname.Mounts})
	require.Same(t, timer, f.retry.timer, "another change is no attempt")
	delete(core.fail, "mount")
	f.Applied(context.Background(), []string{vaultname.Mounts})
	require.Nil(t, f.retry.timer)
	require.Equal(t, time.Second, f.retry.NextBackOff())
}

// What is said of a mount ends with it.
func TestFailureOfAMountIsForgottenWithIt(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.fail["mount"] = errors.New("broken")
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Len(t, f.Lacks(), 1)
	core.stored[vaultname.Mounts] = nil
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Empty(t, f.Lacks())
	require.Empty(t, f.again)
}

// The node becomes active again and has read everything anew.
func TestStartForgetsWhatFailedBefore(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.fail["cors"] = errors.New("broken")
	f.AuditDevice("file/", errors.New("no such file"))
	f.Applied(ctx, []string{"sys/config/cors"})
	require.Len(t, f.Lacks(), 2)
	f.Start(ctx)
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "audit device file/", "it was opened, or not, before the start")
	require.Empty(t, f.again)
}

// A comparison that a request asks for comes after what is being taken up, and does
// not keep the request.
func TestRecheckSoon(t *testing.T) {
	t.Parallel()
	core := newFake()
	f := newPersistent(core)
	hangs, ended := make(chan struct{}), make(chan struct{})
	core.stuck["cors"] = hangs
	go func() {
		defer close(ended)
		f.Applied(context.Background(), []string{"sys/config/cors"})
	}()
	require.Eventually(t, func() bool { return core.asked("cors") }, patient, time.Millisecond)
	core.with(func() { core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")} })
	for range 3 {
		f.RecheckSoon()
	}
	// The comparison has the state of the core, as the apply has, and waits.
	require.Eventually(t, func() bool {
		core.mu.Lock()
		defer core.mu.Unlock()
		return core.held == 2
	}, patient, time.Millisecond)
	require.False(t, f.taking.TryLock())
	core.with(func() { require.Equal(t, []string{"cors"}, core.calls) })
	close(hangs)
	<-ended
	require.Eventually(t, func() bool { return core.asked("mount 1") }, patient, time.Millisecond)

	// The next one is another one.
	core.with(func() { core.stored[vaultname.Mounts] = nil })
	f.RecheckSoon()
	require.Eventually(t, func() bool { return core.asked("unmount 1") }, patient, time.Millisecond)
}

// A local mount that was in the way may go without a change of the primary.
func TestMountWhosePlaceIsFreeIsMade(t *testing.T) {
	t.Parallel()
	core := newFake()
	f := newPersistent(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", `"local":true`)}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "2", "a/")}
	f.Applied(context.Background(), []string{vaultname.Mounts})
	require.Len(t, f.Lacks(), 1)
	core.with(func() { core.running[vaultname.Mounts] = nil })
	require.Eventually(t, settled(f), patient, time.Millisecond)
	require.Equal(t, "mount 2", core.done())
}
