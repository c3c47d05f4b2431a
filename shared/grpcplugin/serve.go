// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// attachWait is how long a plugin waits for its host before it takes it for
// dead. It covers a host that was killed between start and Attach.
const attachWait = time.Minute

// exitGrace is how long a plugin may take to return from its main once it has stopped.
const exitGrace = time.Second

// Serve is the whole main of a plugin. It logs JSON lines to standard error,
// which the host logs with their levels, and returns or exits when the host is
// gone or wants the plugin to end.
func Serve(factory Factory) {
	level := hclog.LevelFromString(os.Getenv(EnvLogLevel))
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	logger := hclog.New(&hclog.LoggerOptions{Level: level, Output: os.Stderr, JSONFormat: true})

	var once sync.Once
	attached, detached := make(chan struct{}), make(chan struct{})
	p := &Plugin{Logger: logger, detached: sync.OnceFunc(func() { close(detached) })}
	p.Factory = func(host replication.Host, logger hclog.Logger) replication.Backend {
		once.Do(func() { close(attached) })
		return factory(host, logger)
	}
	// The server is made by plugin.Serve, before anybody can attach.
	var server atomic.Pointer[grpc.Server]
	go func() {
		select {
		case <-attached:
			<-detached
		case <-time.After(attachWait):
			logger.Error("no host attached to the plugin", "waited", attachWait.String())
		}
		// Lets plugin.Serve return, which removes its socket.
		if s := server.Load(); s != nil {
			s.Stop()
		}
		time.Sleep(exitGrace)
		os.Exit(0)
	}()

	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: Versions(p),
		Logger:           logger,
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(opts, ServerOptions()...)...)
			server.Store(s)
			return s
		},
	})
	// The server has ended, and with it the stream of Attach: let the backend
	// stop in order.
	select {
	case <-attached:
		select {
		case <-detached:
		case <-time.After(detachGrace):
		}
	default:
	}
}
