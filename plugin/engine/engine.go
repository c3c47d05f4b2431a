// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"cmp"
	"context"
	"net"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/primary"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/secondary"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Engine implements [replication.Backend].
type Engine struct {
	cfg    Config
	host   replication.Host
	logger hclog.Logger

	// lifecycle serialises Start, Stop and Recover. It is held during calls of the host, so it is a gate, not a mutex: a
	// caller that waits may leave with its context. A status never waits for it.
	lifecycle link.Gate
	// leftover are the slots of a set of which this cluster was the primary. lifecycle guards it.
	leftover []string

	roles roles
}

var _ replication.Backend = (*Engine)(nil)

type primaryRole struct {
	authority *trust.Authority
	registry  *trust.Registry
	server    *primary.Server
	// demoted says that a demotion was begun.
	demoted atomic.Bool
}

// secondaryRole has no client while there is no primary to follow, or while another cluster
// may follow that primary in its place.
type secondaryRole struct {
	bundle    *trust.Bundle
	contested bool
	client    *secondary.Client
	cancel    context.CancelFunc
	done      chan struct{}
}

// New makes an engine on top of a host. It does nothing before Start.
func New(cfg Config, host replication.Host, logger hclog.Logger) *Engine {
	logger = cmp.Or(logger, hclog.NewNullLogger())
	return &Engine{cfg: cfg, host: host, logger: logger, lifecycle: link.NewGate(), roles: roles{mode: cfg.Mode}}
}

// Start implements [replication.Backend].
func (e *Engine) Start(ctx context.Context, req replication.StartRequest) error {
	if err := e.lifecycle.Enter(ctx); err != nil {
		return err
	}
	defer e.lifecycle.Leave()
	e.roles.goOn()
	e.stop(ctx)
	return e.begin(ctx, req)
}

// begin requires lifecycle to be held, and a stopped engine.
func (e *Engine) begin(ctx context.Context, req replication.StartRequest) error {
	err := e.beginRole(ctx, req)
	if err != nil {
		e.roles.fail(err)
	}
	return err
}

func (e *Engine) beginRole(ctx context.Context, req replication.StartRequest) error {
	if req.Role != replication.Primary {
		e.closeLeftover(ctx)
	}
	switch req.Role {
	case replication.Disabled:
		e.roles.set(req, nil, nil)
		return nil
	case replication.Primary:
		return e.beginPrimary(ctx, req)
	case replication.Secondary, replication.Bootstrapping:
		return e.beginSecondary(ctx, req)
	default:
		return replication.Errorf(replication.InvalidInput, "the role %q is unknown to the replication plugin: run the "+
			"plugin of this server's release", req.Role)
	}
}

func (e *Engine) beginPrimary(ctx context.Context, req replication.StartRequest) error {
	data, err := e.host.GetState(ctx, trust.AuthorityKey)
	if err != nil {
		return err
	}
	if data == nil {
		return replication.Errorf(replication.Internal, "this %s primary has no record of its certificate authority: "+
			"disable replication here and enable it anew", e.cfg.Mode)
	}
	authority, err := trust.DecodeAuthority(data)
	if err != nil {
		return replication.Errorf(replication.Internal, "%w: disable replication here and enable it anew", err)
	}
	if authority.Mode() != e.cfg.Mode || authority.SetID() != req.ClusterID {
		return replication.Errorf(replication.Internal, "the record of the certificate authority is of another replication "+
			"set than this primary (%s): disable replication here and enable it anew", req.ClusterID)
	}
	registry, err := trust.LoadRegistry(ctx, e.host)
	if err != nil {
		return err
	}
	p := &primaryRole{authority: authority, registry: registry}
	cfg := e.cfg.primary()
	cfg.Contested = req.Contested
	p.server = primary.NewServer(cfg, e.host, e.logger.Named("primary"), authority, registry)
	// This comes before it listens, because connections may arrive at once.
	e.roles.set(req, p, nil)
	if err := p.server.Start(ctx); err != nil {
		e.stop(ctx)
		return err
	}
	return nil
}

func (e *Engine) beginSecondary(ctx context.Context, req replication.StartRequest) error {
	data, err := e.host.GetState(ctx, bundleKey)
	if err != nil {
		return err
	}
	if data == nil {
		e.roles.set(req, nil, &secondaryRole{})
		return nil
	}
	bundle, err := trust.DecodeStoredBundle(data)
	if err == nil {
		err = bundle.CheckFor(e.cfg.Mode, "")
	}
	if err != nil || bundle.SetID != req.ClusterID {
		return replication.Errorf(replication.Internal, "the stored credentials of this secondary are not those of its "+
			"replication set (%s): use update-primary with a new token", req.ClusterID)
	}
	if req.Contested {
		// The other cluster has the same id and certificate. If both connected, each would
		// end the other's session.
		e.roles.set(req, nil, &secondaryRole{bundle: bundle, contested: true})
		return nil
	}
	addresses, err := secondary.LoadAddresses(ctx, e.host, bundle.Addresses)
	if err != nil {
		return err
	}
	addresses.OnlyGiven = req.OnlyGiven
	known, err := secondary.LoadKnown(ctx, e.host)
	if err != nil {
		return err
	}
	// The client outlives this call; Stop ends it.
	run, cancel := context.WithCancel(context.Background())
	s := &secondaryRole{
		bundle: bundle,
		client: secondary.NewClient(e.cfg.secondary(), e.host, e.logger.Named("secondary"), bundle, addresses, known),
		cancel: cancel,
		done:   make(chan struct{}),
	}
	e.roles.set(req, nil, s)
	go func() {
		defer close(s.done)
		s.client.Run(run)
	}()
	return nil
}

const contestedSecondary = "this cluster was promoted while the cluster whose part it took over was connected, so it " +
	"does not follow the primary by itself: " +
	"if that one is gone or demoted, use update-primary, otherwise disable performance replication here"

// Stop implements [replication.Backend].
func (e *Engine) Stop(ctx context.Context) error {
	if err := e.lifecycle.Enter(ctx); err != nil {
		return err
	}
	defer e.lifecycle.Leave()
	e.stop(ctx)
	return nil
}

// stop requires lifecycle to be held.
func (e *Engine) stop(ctx context.Context) {
	p, s := e.roles.end()
	if p != nil {
		e.leftover = p.registry.IDs()
		p.server.Stop(ctx, p.demoted.Load())
	}
	if s != nil && s.client != nil {
		s.cancel()
		<-s.done
	}
}

// closeLeftover ends retention for the secondaries of a set of which this cluster is no longer the primary.
func (e *Engine) closeLeftover(ctx context.Context) {
	for _, id := range e.leftover {
		if err := e.host.CloseSlot(ctx, id); err != nil {
			e.logger.Warn("could not close the slot of a former secondary", "id", id, "error", err)
		}
	}
	e.leftover = nil
}

// Recover implements [replication.Backend].
func (e *Engine) Recover(ctx context.Context) error {
	if err := e.lifecycle.Enter(ctx); err != nil {
		return err
	}
	defer e.lifecycle.Leave()
	req, _, _, err := e.roles.now()
	if err != nil {
		return err
	}
	e.roles.goOn()
	e.stop(ctx)
	return e.begin(ctx, req)
}

var errNotStarted = replication.Errorf(replication.Unavailable, "replication is not running on this node: try again "+
	"on the active node")

// ServeConn implements [replication.Backend].
func (e *Engine) ServeConn(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error {
	_, _, p, _ := e.roles.running()
	if p == nil {
		_ = conn.Close()
		return replication.Errorf(replication.Unavailable, "this cluster is not a %s primary now", e.cfg.Mode)
	}
	return p.server.Serve(ctx, conn, peer)
}
