// SPDX-License-Identifier: MPL-2.0

package node

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/catalog"
	"github.com/vault-replication/vault-replication/host/internal/role"
	"github.com/vault-replication/vault-replication/host/internal/services"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// readyTimeout bounds how long a request waits for a plugin to start.
const readyTimeout = 20 * time.Second

// plugins runs the plugin of each mode once it is needed: a server without
// replication starts none.
type plugins struct {
	entries     *catalog.Catalog
	supervisors map[replication.Mode]*catalog.Supervisor

	mu      sync.Mutex
	started map[replication.Mode]bool
}

var (
	_ role.Plugins      = (*plugins)(nil)
	_ endpoints.Catalog = (*plugins)(nil)
)

// newPlugins makes a plugins. started is called after each start of a plugin's process.
func newPlugins(entries *catalog.Catalog, started func(context.Context, replication.Mode, replication.Backend) error,
	o services.Options, logger hclog.Logger) (*plugins, error) {
	p := &plugins{
		entries:     entries,
		supervisors: map[replication.Mode]*catalog.Supervisor{},
		started:     map[replication.Mode]bool{},
	}
	for _, mode := range replication.Modes() {
		s, err := catalog.NewSupervisor(catalog.SupervisorConfig{
			Catalog: entries,
			Name:    catalog.BuiltinName(mode),
			Host:    services.New(mode, o),
			Logger:  logger.Named(string(mode)),
			OnStart: func(ctx context.Context, b replication.Backend) error { return started(ctx, mode, b) },
		})
		if err != nil {
			return nil, err
		}
		p.supervisors[mode] = s
	}
	return p, nil
}

// Backend implements [role.Plugins].
func (p *plugins) Backend(ctx context.Context, mode replication.Mode) (replication.Backend, error) {
	s := p.supervisors[mode]
	p.mu.Lock()
	p.started[mode] = true
	p.mu.Unlock()
	s.Run(context.Background())
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		return nil, err
	}
	return s.Backend(), nil
}

// Running implements [role.Plugins].
func (p *plugins) Running(mode replication.Mode) replication.Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started[mode] {
		return nil
	}
	return p.supervisors[mode].Backend()
}

// Trouble implements [role.Plugins].
func (p *plugins) Trouble(mode replication.Mode) string {
	h := p.supervisors[mode].Health()
	switch {
	case h.Running:
		return ""
	case h.LastError != "":
		return "the replication plugin " + h.Name + " is down and is started again: " + h.LastError
	default:
		return "the replication plugin " + h.Name + " is starting"
	}
}

func (p *plugins) close() {
	for _, s := range p.supervisors {
		s.Stop()
	}
}

// modeOf is the mode of a plugin's name.
func modeOf(name string) (replication.Mode, error) {
	var known []string
	for _, mode := range replication.Modes() {
		if catalog.BuiltinName(mode) == name {
			return mode, nil
		}
		known = append(known, catalog.BuiltinName(mode))
	}
	return "", replication.Errorf(replication.InvalidInput, "the replication plugin %q is unknown: the host runs %q",
		name, known)
}

// List implements [endpoints.Catalog].
func (p *plugins) List(ctx context.Context) ([]string, error) { return p.entries.List(ctx) }

// Read implements [endpoints.Catalog].
func (p *plugins) Read(ctx context.Context, name string) (*endpoints.Plugin, error) {
	e, err := p.entries.Get(ctx, name)
	if replication.KindOf(err) == replication.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &endpoints.Plugin{
		Name: e.Name, Command: e.Command, SHA256: e.SHA256, Args: e.Args, Env: e.Env, Version: e.Version, Builtin: e.Builtin,
	}, nil
}

// Write implements [endpoints.Catalog].
func (p *plugins) Write(ctx context.Context, w endpoints.Plugin) error {
	mode, err := modeOf(w.Name)
	if err != nil {
		return err
	}
	return p.entries.Put(ctx, catalog.Entry{
		Name: w.Name, Mode: mode, Command: w.Command, SHA256: w.SHA256, Args: w.Args, Env: w.Env, Version: w.Version,
	})
}

// Delete implements [endpoints.Catalog].
func (p *plugins) Delete(ctx context.Context, name string) error { return p.entries.Delete(ctx, name) }

// Reload implements [endpoints.Catalog].
func (p *plugins) Reload(ctx context.Context, name string) error {
	mode, err := modeOf(name)
	if err != nil {
		return err
	}
	return p.supervisors[mode].Reload(ctx)
}

// entryStore keeps the catalog's records behind the barrier.
type entryStore struct{ core *vaultcore.Core }

func (s entryStore) Get(ctx context.Context, name string) ([]byte, error) {
	return s.core.GetEntry(ctx, role.PluginPrefix+name)
}

func (s entryStore) Put(ctx context.Context, name string, value []byte) error {
	return s.core.PutEntry(ctx, role.PluginPrefix+name, value)
}

func (s entryStore) Delete(ctx context.Context, name string) error {
	return s.core.DeleteEntry(ctx, role.PluginPrefix+name)
}

func (s entryStore) List(ctx context.Context) ([]string, error) {
	return s.core.ListEntries(ctx, role.PluginPrefix)
}
