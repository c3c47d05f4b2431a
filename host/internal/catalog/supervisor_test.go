// SPDX-License-Identifier: MPL-2.0

package catalog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/catalog"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

func TestRunAndStop(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "probe")
	s := supervise(t, c, nil)
	_, err := s.Backend().Status(t.Context())
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	require.ErrorContains(t, err, "not running")

	for range 2 { // a stopped supervisor can run again
		s.Run(t.Context())
		s.Run(t.Context()) // changes nothing
		require.NoError(t, s.WaitReady(t.Context()))
		status, err := s.Backend().Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, replicationtest.ProbeStatus(), status)
		h := s.Health()
		require.True(t, h.Running)
		require.Equal(t, "probe", h.Version, "that of its entry")
		require.Equal(t, ownSum(t), h.SHA256)
		require.Zero(t, h.Restarts)
		require.True(t, alive(h.PID))

		s.Stop()
		s.Stop()
		require.False(t, alive(h.PID), "the process is gone when Stop returns")
		require.False(t, s.Health().Running)
		_, err = s.Backend().Status(t.Context())
		require.Equal(t, replication.Unavailable, replication.KindOf(err))
	}
}

func TestCrashIsRestartedAndStartedAgain(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "probe")
	var starts atomic.Int32
	started := make(chan string, 10)
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) {
		cfg.Host = &replicationtest.Host{PutStateFunc: func(_ context.Context, key string,
			_ []byte) error {
			started <- key
			return nil
		}}
		cfg.OnStart = func(ctx context.Context, b replication.Backend) error {
			starts.Add(1)
			return b.Start(ctx, replication.StartRequest{Role: replication.Primary})
		}
	})
	s.Run(t.Context())
	require.NoError(t, s.WaitReady(t.Context()))
	require.Equal(t, "started", <-started)
	first := s.Health()

	_, err := s.Backend().EnablePrimary(t.Context(), replication.EnablePrimaryRequest{PrimaryClusterAddr: "crash"})
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	h := eventually(t, s, "a new process", func(h catalog.Health) bool { return h.Running && h.PID != first.PID })
	require.EqualValues(t, 1, h.Restarts)
	require.Contains(t, h.LastError, "exit status 3")
	require.EqualValues(t, 2, starts.Load())
	require.Equal(t, "started", <-started)
	_, err = s.Backend().Status(t.Context())
	require.NoError(t, err)
}

func TestKilledProcessIsRestarted(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "probe")
	var sockets string
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) { sockets = cfg.SocketDir })
	s.Run(t.Context())
	require.NoError(t, s.WaitReady(t.Context()))
	first := s.Health()
	// What a killed process cannot remove is removed for it, see supervise.
	used, err := os.ReadDir(sockets)
	require.NoError(t, err)
	require.Len(t, used, 1, "the sockets are where they were asked to be")
	require.NoError(t, syscall.Kill(first.PID, syscall.SIGKILL))
	h := eventually(t, s, "a new process", func(h catalog.Health) bool { return h.Running && h.PID != first.PID })
	require.Contains(t, h.LastError, "killed")
}

func TestHangIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	for name, role := range map[string]string{"answers no ping": "hanging", "process is stopped": "probe"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := plugins(t, role)
			s := supervise(t, c, func(cfg *catalog.SupervisorConfig) {
				cfg.PingInterval, cfg.PingTimeout, cfg.PingMisses = 20*time.Millisecond, time.Second, 2
				cfg.StopTimeout = 10 * time.Millisecond
			})
			s.Run(t.Context())
			require.NoError(t, s.WaitReady(t.Context()))
			first := s.Health()
			if role == "probe" {
				require.NoError(t, syscall.Kill(first.PID, syscall.SIGSTOP))
			}
			h := eventually(t, s, "a new process", func(h catalog.Health) bool { return h.Running && h.PID != first.PID })
			require.Contains(t, h.LastError, "did not answer 2 times")
			require.False(t, alive(first.PID))
		})
	}
}

func TestErrorIsAnAnswerToAPing(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "failing")
	pings := make(chan struct{}, 1)
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) {
		cfg.PingInterval, cfg.PingTimeout, cfg.PingMisses = time.Millisecond, time.Minute, 1
		cfg.Host = &replicationtest.Host{PutStateFunc: func(context.Context, string,
			[]byte) error {
			pings <- struct{}{}
			return nil
		}}
	})
	s.Run(t.Context())
	for range 20 {
		<-pings
	}
	require.NoError(t, s.WaitReady(t.Context()))
	require.Zero(t, s.Health().Restarts)
}

func TestBadPluginsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for role, tc := range map[string]struct {
		says    string
		timeout time.Duration
	}{
		"exit":    {"ended before its handshake", time.Minute},
		"garbage": {"wrote something else than a handshake", time.Minute},
		"silent":  {"did not complete its handshake within", 200 * time.Millisecond},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			c, _ := plugins(t, role)
			s := supervise(t, c, func(cfg *catalog.SupervisorConfig) { cfg.StartTimeout = tc.timeout })
			s.Run(t.Context())
			h := eventually(t, s, "another attempt", func(h catalog.Health) bool { return h.Restarts >= 2 })
			require.Contains(t, h.LastError, tc.says)
			require.NotContains(t, h.LastError, "\n")
			require.NotContains(t, h.LastError, "shell script", "the status needs no token")
			require.False(t, h.Running)
			require.Zero(t, h.PID)
			_, err := s.Backend().Status(t.Context())
			require.Equal(t, replication.Unavailable, replication.KindOf(err))
			require.ErrorContains(t, err, "restarting")
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestTooLongADirectoryForSocketsSaysSo(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "probe")
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) {
		cfg.SocketDir = filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
		require.NoError(t, os.MkdirAll(cfg.SocketDir, 0o700))
		dir := cfg.SocketDir
		t.Cleanup(func() {
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	})
	s.Run(t.Context())
	h := eventually(t, s, "the start fails", func(h catalog.Health) bool { return h.LastError != "" })
	require.Contains(t, h.LastError, "start the server with TMPDIR set to a shorter path")
}

func TestBadFilesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, path string)
		says  string
	}{
		"missing": {func(_ *testing.T, _ string) {}, "does not exist"},
		"changed": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700))
		}, "does not have the registered sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dir := plugins(t, "probe")
			path := filepath.Join(dir, "binary")
			require.NoError(t, os.Remove(path))
			tc.spoil(t, path)
			s := supervise(t, c, nil)
			s.Run(t.Context())
			h := eventually(t, s, "another attempt", func(h catalog.Health) bool { return h.Restarts >= 2 })
			require.Contains(t, h.LastError, tc.says)

			// Mended, it comes up without anybody's help.
			require.NoError(t, os.RemoveAll(path))
			install(t, dir, "binary")
			require.NoError(t, s.WaitReady(t.Context()))
		})
	}
}

// With a pause of an hour there is one attempt, and only a reload makes another.
func TestNoCrashLoopFasterThanTheBackoff(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "exit")
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) { cfg.BackoffMin, cfg.BackoffMax = time.Hour, time.Hour })
	s.Run(t.Context())
	eventually(t, s, "the first failure", func(h catalog.Health) bool { return h.LastError != "" })
	require.Zero(t, s.Health().Restarts)

	// A reload does not wait for the pause, and tells that it failed again.
	err := s.Reload(t.Context())
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "ended before its handshake")
	register(t, c, "probe")
	require.NoError(t, s.Reload(t.Context()))
	require.True(t, s.Health().Running)
}

func TestStopDoesNotWaitForAStart(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "silent")
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) { cfg.StartTimeout = time.Hour })
	s.Run(t.Context())
	s.Stop()
	require.False(t, s.Health().Running)
}

func TestReloadSwapsTheProcess(t *testing.T) {
	t.Parallel()
	c, dir := plugins(t, "probe")
	s := supervise(t, c, nil)
	err := s.Reload(t.Context())
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	s.Run(t.Context())
	require.NoError(t, s.WaitReady(t.Context()))
	first := s.Health()

	require.NoError(t, s.Reload(t.Context()))
	second := s.Health()
	require.True(t, second.Running)
	require.NotEqual(t, first.PID, second.PID)
	require.False(t, alive(first.PID))
	require.Zero(t, second.Restarts)
	require.Empty(t, second.LastError)

	// What cannot be run does not replace what runs.
	require.NoError(t, os.Remove(filepath.Join(dir, "binary")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "binary"), []byte("#!/bin/sh\n"), 0o700))
	require.ErrorContains(t, s.Reload(t.Context()), "sha256")
	require.Equal(t, second.PID, s.Health().PID)
	_, err = s.Backend().Status(t.Context())
	require.NoError(t, err)
}

func TestFailingOnStartIsTriedAgain(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "probe")
	var calls atomic.Int32
	s := supervise(t, c, func(cfg *catalog.SupervisorConfig) {
		cfg.OnStart = func(context.Context, replication.Backend) error {
			if calls.Add(1) < 3 {
				return errors.New("storage is not there yet")
			}
			return nil
		}
	})
	s.Run(t.Context())
	require.NoError(t, s.WaitReady(t.Context()))
	require.EqualValues(t, 3, calls.Load())
	require.Contains(t, s.Health().LastError, "storage is not there yet")
}

func TestHostEnvironmentIsNotInherited(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, os.Getenv("PATH"))
	c, _ := plugins(t, "probe")
	s := supervise(t, c, nil)
	s.Run(t.Context())
	require.NoError(t, s.WaitReady(t.Context()))
	env, err := os.ReadFile(filepath.Join("/proc", itoa(s.Health().PID), "environ"))
	require.NoError(t, err)
	for _, v := range strings.Split(strings.TrimRight(string(env), "\x00"), "\x00") {
		require.Regexp(t, `^(CATALOG_TEST_ROLE|VAULT_REPLICATION_PLUGIN|PLUGIN_)`, v)
	}
}
