// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Factory makes a plugin's backend. It is called once a process, when the host
// attaches; the host's services can be used from then on. It must not wait for
// anything.
type Factory func(host replication.Host, logger hclog.Logger) replication.Backend

// Plugin is the go-plugin plugin of both sides. A plugin's process sets Factory,
// a host sets Host and the fields after it.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin

	// Factory makes the backend.
	Factory Factory
	// detached is called when the host has gone and the backend is stopped or
	// took too long; perhaps more than once.
	detached func()

	// Host is the implementation that the plugin's calls reach.
	Host replication.Host
	// PluginName names the plugin in errors.
	PluginName string
	// AttachTimeout bounds the first exchange with the plugin; 0 is 20 seconds.
	AttachTimeout time.Duration

	// Logger of either side; nil logs nothing.
	Logger hclog.Logger
}

var _ plugin.GRPCPlugin = (*Plugin)(nil)

func (p *Plugin) logger() hclog.Logger { return cmp.Or(p.Logger, hclog.NewNullLogger()) }

// GRPCServer is called by go-plugin in the plugin's process.
func (p *Plugin) GRPCServer(broker *plugin.GRPCBroker, s *grpc.Server) error {
	if p.Factory == nil {
		return errors.New("the plugin has no function to make its backend")
	}
	replicationv1.RegisterReplicationServer(s, &backendServer{
		factory: p.Factory, broker: broker, logger: p.logger(), detached: p.detached,
	})
	return nil
}

// GRPCClient is called by go-plugin in the host's process, once for every
// Dispense. It attaches to the plugin and returns a [*Client]. A plugin can be
// attached to once.
func (p *Plugin) GRPCClient(ctx context.Context, broker *plugin.GRPCBroker, cc *grpc.ClientConn) (any, error) {
	if p.Host == nil {
		return nil, errors.New("the host gave no implementation of its services")
	}
	return attach(ctx, p, broker, cc)
}
