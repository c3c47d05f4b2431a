// SPDX-License-Identifier: MPL-2.0

package catalog_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/catalog"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// alive says whether a process runs. One that has ended and that nobody has
// waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return after == "" || after[0] != 'Z'
}

// beHost runs a supervisor as a host does, tells the plugin's process id and
// waits to be killed.
func beHost() {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	sum, err := catalog.SumFile(os.Args[0])
	fail(err)
	c, err := catalog.New(catalog.Config{Dir: filepath.Dir(os.Args[0]), Store: newMemory()})
	fail(err)
	fail(c.Put(ctx, catalog.Entry{
		Name: "replication-dr", Mode: replication.DR, Command: filepath.Base(os.Args[0]), SHA256: sum,
		Env: []string{envRole + "=" + os.Getenv("PLUGIN_ROLE_FOR_TEST")},
	}))
	s, err := catalog.NewSupervisor(catalog.SupervisorConfig{
		Catalog: c, Name: "replication-dr", Host: &replicationtest.Host{}, StartTimeout: time.Hour,
		SocketDir: os.Getenv("SOCKETS_FOR_TEST"),
	})
	fail(err)
	s.Run(ctx)
	if os.Getenv("PLUGIN_ROLE_FOR_TEST") == "probe" {
		fail(s.WaitReady(ctx))
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Killed without a chance to clean up, the host takes its plugin with it, at
// any stage of the plugin's life.
func TestPluginDiesWithItsHost(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"probe", "silent"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			sockets, err := os.MkdirTemp("", "s")
			require.NoError(t, err)
			defer os.RemoveAll(sockets)
			host := exec.Command(os.Args[0])
			host.Env = append(os.Environ(), envRole+"=host", "PLUGIN_ROLE_FOR_TEST="+role, "SOCKETS_FOR_TEST="+sockets)
			in, err := host.StdinPipe()
			require.NoError(t, err)
			defer in.Close()
			out, err := host.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, host.Start())
			defer func() { _ = host.Wait() }()
			defer func() { _ = host.Process.Kill() }()
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "ready\n", line)

			var child int
			// The silent one is killed and started again now and then.
			require.Eventually(t, func() bool { child = childOf(host.Process.Pid); return child != 0 && alive(child) },
				time.Minute, 5*time.Millisecond)
			require.NoError(t, host.Process.Kill())
			require.Eventually(t, func() bool { return !alive(child) }, time.Minute, 5*time.Millisecond,
				"the plugin outlives its host")
		})
	}
}

// childOf is a child of a process, 0 when it has none.
func childOf(pid int) int {
	lists, err := filepath.Glob(filepath.Join("/proc", itoa(pid), "task", "*", "children"))
	if err != nil {
		return 0
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			child, _ := strconv.Atoi(fields[0])
			return child
		}
	}
	return 0
}
