// SPDX-License-Identifier: MPL-2.0

package replicationtest_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

// TestMain makes the test binary a plugin when a host has started it.
func TestMain(m *testing.M) {
	if cookie := grpcplugin.Handshake(); os.Getenv(cookie.MagicCookieKey) == cookie.MagicCookieValue {
		grpcplugin.Serve(replicationtest.NewProbe)
		return
	}
	if os.Getenv(envHost) != "" {
		beHost()
		return
	}
	// Sockets of processes that were killed stay: they get a place to remove.
	dir, err := os.MkdirTemp("", "r")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	replicationtest.Suite(t, func(_ *testing.T, host replication.Host) replication.Backend {
		return replicationtest.NewProbe(host, hclog.NewNullLogger())
	})
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	for name, multiplex := range map[string]bool{"multiplexed": true, "own sockets": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicationtest.Suite(t, func(t *testing.T, host replication.Host) replication.Backend {
				client, server := plugin.TestPluginGRPCConn(t, multiplex, map[string]plugin.Plugin{
					grpcplugin.Name: &grpcplugin.Plugin{Factory: replicationtest.NewProbe, Host: host, PluginName: "probe"},
				})
				raw, err := client.Dispense(grpcplugin.Name)
				require.NoError(t, err)
				backend := raw.(*grpcplugin.Client)
				t.Cleanup(func() {
					client.Close()
					<-server.DoneCh // stopped by the client; stopping twice is a race in go-plugin
				})
				return backend
			})
		})
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	for name, multiplex := range map[string]bool{"multiplexed": true, "own sockets": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicationtest.Suite(t, func(t *testing.T, host replication.Host) replication.Backend {
				_, backend := start(t, host, multiplex)
				require.NotEmpty(t, backend.Capabilities())
				return backend
			})
		})
	}
}

// start runs this test binary as a plugin.
func start(t *testing.T, host replication.Host, multiplex bool) (*plugin.Client, *grpcplugin.Client) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{plugin.EnvUnixSocketDir + "=" + os.TempDir()}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:     grpcplugin.Handshake(),
		VersionedPlugins:    grpcplugin.Versions(&grpcplugin.Plugin{Host: host, PluginName: "probe"}),
		Cmd:                 cmd,
		AllowedProtocols:    []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:            true,
		SkipHostEnv:         true,
		GRPCDialOptions:     grpcplugin.DialOptions(),
		GRPCBrokerMultiplex: multiplex,
		StartTimeout:        time.Minute,
		Logger:              hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	require.NoError(t, err)
	raw, err := protocol.Dispense(grpcplugin.Name)
	require.NoError(t, err)
	return client, raw.(*grpcplugin.Client)
}

// How long a test waits for a process to exit, and how often it looks.
const (
	exitWait = time.Minute
	exitTick = 10 * time.Millisecond
)
