// SPDX-License-Identifier: MPL-2.0

package grpcplugin_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

func connect(t *testing.T, p *grpcplugin.Plugin) *plugin.GRPCClient {
	t.Helper()
	client, server := plugin.TestPluginGRPCConn(t, false, map[string]plugin.Plugin{grpcplugin.Name: p})
	t.Cleanup(func() { client.Close(); <-server.DoneCh })
	return client
}

func TestEndOfTheConnectionStopsTheBackend(t *testing.T) {
	t.Parallel()
	stopped := make(chan struct{})
	client := connect(t, &grpcplugin.Plugin{
		Factory: func(replication.Host, hclog.Logger) replication.Backend {
			return &replicationtest.Backend{StopFunc: func(context.Context) error { close(stopped); return nil }}
		},
		Host: &replicationtest.Host{}, PluginName: "x",
	})
	raw, err := client.Dispense(grpcplugin.Name)
	require.NoError(t, err)
	b := raw.(*grpcplugin.Client)
	require.NotEmpty(t, b.Capabilities())
	require.NoError(t, client.Close())
	<-b.Lost()
	<-stopped
	_, err = b.Status(t.Context())
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
}

func TestSecondAttachIsRefused(t *testing.T) {
	t.Parallel()
	var made atomic.Int32
	client := connect(t, &grpcplugin.Plugin{
		Factory: func(replication.Host, hclog.Logger) replication.Backend {
			made.Add(1)
			return &replicationtest.Backend{}
		},
		Host: &replicationtest.Host{}, PluginName: "x",
	})
	_, err := client.Dispense(grpcplugin.Name)
	require.NoError(t, err)
	_, err = client.Dispense(grpcplugin.Name)
	require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%v", err)
	require.EqualValues(t, 1, made.Load())
}

func TestHangingAttachEnds(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	client := connect(t, &grpcplugin.Plugin{
		Factory: func(replication.Host, hclog.Logger) replication.Backend {
			<-release
			return &replicationtest.Backend{}
		},
		Host: &replicationtest.Host{}, PluginName: "x", AttachTimeout: 50 * time.Millisecond,
	})
	_, err := client.Dispense(grpcplugin.Name)
	close(release)
	require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "did not attach")
}

func TestIncompletePluginIsRefused(t *testing.T) {
	t.Parallel()
	_, err := (&grpcplugin.Plugin{}).GRPCClient(t.Context(), nil, nil)
	require.Error(t, err)
	require.Error(t, (&grpcplugin.Plugin{}).GRPCServer(nil, nil))
}

// The plugin may use the host as soon as it is made, before any call.
func TestFactoryMayKeepTheHost(t *testing.T) {
	t.Parallel()
	answer := make(chan error, 1)
	client := connect(t, &grpcplugin.Plugin{
		Factory: func(host replication.Host, _ hclog.Logger) replication.Backend {
			go func() { _, err := host.EndCopy(context.Background()); answer <- err }()
			return &replicationtest.Backend{}
		},
		Host: &replicationtest.Host{EndCopyFunc: func(context.Context) (*replication.Cursor, error) {
			return nil, replication.Errorf(replication.InvalidInput, "no copy is under way: %w", errors.New("x"))
		}}, PluginName: "x",
	})
	_, err := client.Dispense(grpcplugin.Name)
	require.NoError(t, err)
	require.Equal(t, replication.InvalidInput, replication.KindOf(<-answer))
}
