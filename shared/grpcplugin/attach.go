// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const defaultAttachTimeout = 20 * time.Second

// attach serves the host's services to the plugin and opens the stream that the plugin's
// life depends on. processCtx ends with the plugin's process.
func attach(processCtx context.Context, p *Plugin, broker *plugin.GRPCBroker, cc *grpc.ClientConn) (*Client, error) {
	timeout := cmp.Or(p.AttachTimeout, defaultAttachTimeout)
	c := &Client{
		rpc:  replicationv1.NewReplicationClient(cc),
		conn: cc,
		link: link{
			peer: fmt.Sprintf("replication plugin %q", p.PluginName),
			hint: "the host restarts it, try again shortly",
			done: processCtx.Done(),
		},
		lost: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(processCtx)
	services := serveHost(broker, p.Host, p.logger())

	var late atomic.Bool
	timer := time.AfterFunc(timeout, func() { late.Store(true); cancel() })
	stream, err := c.rpc.Attach(ctx, &replicationv1.AttachRequest{HostServiceId: services.small.id,
		BulkServiceId: services.bulk.id, Capabilities: capabilities()})
	var first *replicationv1.AttachResponse
	if err == nil {
		first, err = stream.Recv()
	}
	timer.Stop()
	if err != nil {
		cancel()
		services.stop()
		if late.Load() {
			return nil, replication.Errorf(replication.Unavailable, "%s did not attach within %s", c.link.peer, timeout)
		}
		return nil, c.link.err(processCtx, err)
	}
	c.can = first.GetCapabilities()

	go func() {
		for err == nil {
			_, err = stream.Recv() // nothing follows: this waits for the end
		}
		cancel()
		services.stop()
		close(c.lost)
	}()
	return c, nil
}
