// SPDX-License-Identifier: MPL-2.0

package replicationtest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

// envHost makes the test binary a host.
const envHost = "REPLICATIONTEST_HOST"

// beHost starts a plugin without any help of the operating system to end it,
// tells its process id and waits to be killed.
func beHost() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{plugin.EnvUnixSocketDir + "=" + os.TempDir()}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  grpcplugin.Handshake(),
		VersionedPlugins: grpcplugin.Versions(&grpcplugin.Plugin{Host: &replicationtest.Host{}, PluginName: "probe"}),
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		Logger:           hclog.NewNullLogger(),
	})
	protocol, err := client.Client()
	if err == nil {
		_, err = protocol.Dispense(grpcplugin.Name)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(client.ID())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestPluginEndsWithItsHost(t *testing.T) {
	t.Parallel()
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), envHost+"=1")
	in, err := host.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out, err := host.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, host.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid := strings.TrimSpace(line)
	require.True(t, alive(pid), "a plugin runs: %s", pid)
	require.NoError(t, host.Process.Kill())
	_ = host.Wait()
	require.Eventually(t, func() bool { return !alive(pid) }, exitWait, exitTick, "the plugin outlives its host")
}

// alive says whether a process runs and is not just waiting to be waited for.
func alive(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
