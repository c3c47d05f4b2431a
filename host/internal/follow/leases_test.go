// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

const tainted = `"tainted":true`

var errRefused = errors.New("connection refused")

// What could not be revoked is revoked later, as long as the mount is there.
func TestRevocationThatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	core := newFake()
	f := newPersistent(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", tainted)}
	core.fail["revoke"] = errRefused
	f.Applied(context.Background(), []string{vaultname.Mounts})
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "connection refused")
	core.with(func() { delete(core.fail, "revoke") })
	require.Eventually(t, settled(f), patient, time.Millisecond)
}

// A mount that stays keeps its leases.
func TestRevocationEndsWhenTheMountStays(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", tainted)}
	core.fail["revoke"] = errRefused
	f.Applied(ctx, []string{vaultname.Mounts})
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	f.Applied(ctx, []string{vaultname.Mounts})
	core.done()
	require.Empty(t, f.Lacks())
	require.NoError(t, f.Recheck(ctx))
	require.Empty(t, core.done())
}

// Leases that are left when their mount is gone are ended when they can be, and it
// is said until then.
func TestLeasesOfAnUnmountThatAreLeft(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", tainted)}
	core.fail["forget"] = errors.New("storage is full")
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "taint 1 true, forget 1, unmount 1, forget 1, clear 1", core.done())
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "storage is full")

	// They would be revoked by the next mount at their path.
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "2", "a/"), mount(t, "3", "b/")}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "forget 1, mount 3", core.done())
	require.Len(t, f.Lacks(), 2)

	delete(core.fail, "forget")
	require.NoError(t, f.Recheck(ctx))
	require.Equal(t, "forget 1, mount 2", core.done())
	require.Empty(t, f.Lacks())
	require.NoError(t, f.Recheck(ctx))
	require.Empty(t, core.done())
}

// A lease that ended without having been revoked is not the same as one that was.
func TestLeaseThatCouldNotBeRevoked(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/"), mount(t, "2", "b/")}
	core.fail["revoke"] = errRefused
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Len(t, f.Lacks(), 2)
	require.Contains(t, f.Lacks()[0], "1 leases of a/ ended without having been revoked")

	// The second attempt was successful.
	delete(core.fail, "revoke")
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", tainted)}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "leases of b/")
}

func TestMoveEndsLeasesFirst(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", tainted), mount(t, "2", "b/")}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "c/"), mount(t, "2", "d/")}
	core.fail["forget"] = errors.New("storage is full")
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "forget 1, move 1, forget 1, revoke 2, forget 2, move 2, forget 2", core.done())
	require.Len(t, f.Lacks(), 2)
	delete(core.fail, "forget")
	require.NoError(t, f.Recheck(ctx))
	require.Equal(t, "forget 1, forget 2", core.done())
	require.Empty(t, f.Lacks())
}

// Two mounts that have traded places are never both at one path, and neither meets
// leases of the other there.
func TestMountsThatTradePlaces(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/"), mount(t, "2", "b/")}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "b/"), mount(t, "2", "a/")}
	// Three moves write the table six times; one batch has it once.
	f.Applied(ctx, []string{vaultname.Mounts, vaultname.Mounts, vaultname.Mounts})
	require.Equal(t, "taint 1 true, revoke 1, forget 1, unmount 1, clear 1, revoke 2, forget 2, move 2, mount 1",
		core.done())
	require.Empty(t, f.Lacks())
	require.NoError(t, f.Recheck(ctx))
	require.Empty(t, core.done())
}

// A mount that goes while the primary is away keeps its leases until they could be revoked.
func TestLeasesOfAMountThatGoesWhileThePrimaryIsAway(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	away := func(said string) bool { return said == "away" }
	f := New(core, hclog.NewNullLogger(), Options{RetryWait: time.Hour, Away: away})
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	core.fail["revoke"] = errors.New("away")
	f.Applied(ctx, []string{vaultname.Mounts})
	require.NotContains(t, core.done(), "unmount")
	require.Len(t, f.Lacks(), 2)
	delete(core.fail, "revoke")
	require.NoError(t, f.Recheck(ctx))
	require.Contains(t, core.done(), "unmount 1")
	require.Empty(t, f.Lacks())
}

// Leases that were given up while the primary was away are revoked when it is back, and
// only those.
func TestLeasesThatWereGivenUp(t *testing.T) {
	t.Parallel()
	const away = "the primary is away"
	core := newFake()
	core.givenUp = map[string]string{"a": "out of retries: " + away, "b": "out of retries: " + away, "c": "it is broken",
		"d": away}
	core.lasting = map[string]error{"a": errors.New(away), "d": errors.New("it is broken")}
	duty, end := context.WithCancel(t.Context())
	defer end()
	f := New(core, hclog.NewNullLogger(), Options{
		GivenUpWait: time.Millisecond, Away: func(said string) bool { return strings.Contains(said, away) },
	})
	f.Start(duty)
	tries := func(id string) (n int) {
		core.with(func() {
			for _, call := range core.calls {
				if call == "again "+id {
					n++
				}
			}
		})
		return n
	}
	require.Eventually(t, func() bool { return tries("a") > 1 }, patient, time.Millisecond)
	require.Zero(t, tries("b"), "the primary is still away")
	core.with(func() { delete(core.lasting, "a") })
	require.Eventually(t, func() bool {
		left := 0
		core.with(func() { left = len(core.givenUp) })
		return left == 2
	}, patient, time.Millisecond)
	require.Zero(t, tries("c"), "it was given up for another reason")
	core.with(func() { core.givenUp["e"] = away })
	require.Eventually(t, func() bool { return tries("e") == 1 }, patient, time.Millisecond)
	require.Equal(t, 1, tries("d"), "it cannot be revoked for another reason")
}
