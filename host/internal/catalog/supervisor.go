// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// SupervisorConfig says what to run and how. Zero durations and numbers mean
// their defaults.
type SupervisorConfig struct {
	Catalog *Catalog
	// Name is the entry to run, see [BuiltinName].
	Name string
	// Host is what the plugin's calls reach.
	Host   replication.Host
	Logger hclog.Logger
	// OnStart is called after each start of the process, before other calls are let
	// through. The host sends Backend.Start there. If it fails the process is ended, and
	// started again after a pause. Nil does nothing.
	OnStart func(ctx context.Context, backend replication.Backend) error

	// StartTimeout bounds the handshake, and OnStart; 20 seconds.
	StartTimeout time.Duration
	// StopTimeout is how long the plugin may take to end its sessions; 5 seconds.
	StopTimeout time.Duration
	// PingInterval is the time between two pings, PingTimeout what the plugin has for an
	// answer. After PingMisses in a row it is killed. 5 seconds, 5 seconds, 3.
	PingInterval, PingTimeout time.Duration
	PingMisses                int
	// BackoffMin and BackoffMax bound the growing pause before a restart; 500
	// milliseconds, 30 seconds. A process that ran longer than BackoffMax counts
	// as sound, and the next pause is the shortest again.
	BackoffMin, BackoffMax time.Duration
	// SocketDir is where the directory of a process' sockets is made; the
	// system's when empty.
	SocketDir string
}

func (c *SupervisorConfig) setDefaults() {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&c.StartTimeout, 20*time.Second)
	set(&c.StopTimeout, 5*time.Second)
	set(&c.PingInterval, 5*time.Second)
	set(&c.PingTimeout, 5*time.Second)
	set(&c.BackoffMin, 500*time.Millisecond)
	set(&c.BackoffMax, 30*time.Second)
	c.BackoffMax = max(c.BackoffMax, c.BackoffMin)
	if c.PingMisses <= 0 {
		c.PingMisses = 3
	}
	c.Logger = cmp.Or(c.Logger, hclog.NewNullLogger())
	if c.OnStart == nil {
		c.OnStart = func(context.Context, replication.Backend) error { return nil }
	}
}

// Supervisor keeps the process of one plugin running. All methods may be called
// concurrently.
type Supervisor struct {
	cfg     SupervisorConfig
	reloads chan chan error

	mu     sync.Mutex
	cancel context.CancelFunc // nil when not running
	done   chan struct{}      // closed when the last run has ended
	live   replication.Backend
	ready  chan struct{} // closed, and made anew, when live is set
	health Health
}

// NewSupervisor makes a supervisor that does not run yet.
func NewSupervisor(cfg SupervisorConfig) (*Supervisor, error) {
	if cfg.Catalog == nil || cfg.Host == nil || !nameForm.MatchString(cfg.Name) {
		return nil, replication.Errorf(replication.Internal, "the supervisor of plugin %q lacks its catalog, its host or "+
			"its name", cfg.Name)
	}
	cfg.setDefaults()
	return &Supervisor{
		cfg: cfg, reloads: make(chan chan error), ready: make(chan struct{}), health: Health{Name: cfg.Name},
	}, nil
}

// Run begins to keep the plugin running, in the background, until Stop or the
// end of ctx. It does not wait for the plugin: see WaitReady. A Run while running
// changes nothing.
func (s *Supervisor) Run(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.done = make(chan struct{})
	s.health = Health{Name: s.cfg.Name}
	go s.run(ctx, s.done)
}

// Stop ends the plugin and waits for it. Idempotent; Run may be called again.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if done != nil {
		<-done
	}
}

// WaitReady waits until the plugin runs and OnStart has succeeded.
func (s *Supervisor) WaitReady(ctx context.Context) error {
	for {
		s.mu.Lock()
		live, ready, done := s.live, s.ready, s.done
		s.mu.Unlock()
		if live != nil {
			return nil
		}
		if done == nil {
			done = make(chan struct{}) // never run: wait for Run
		}
		select {
		case <-ready:
		case <-done:
			_, err := s.current()
			return err
		case <-ctx.Done():
			if _, err := s.current(); err != nil {
				return err
			}
			return nil
		}
	}
}

// Reload swaps the process for one of the catalog's present entry and waits until OnStart
// has succeeded. If the entry cannot be run (file, checksum), the former process stays. If
// the new process does not come up, Reload returns the error, and the start is tried again
// as after any failure. Unavailable when not running.
func (s *Supervisor) Reload(ctx context.Context) error {
	s.mu.Lock()
	running, done := s.cancel != nil, s.done
	s.mu.Unlock()
	if !running {
		return broken("replication plugin %q is not running on this node: it uses the new entry when it starts", s.cfg.Name)
	}
	e, path, err := s.cfg.Catalog.resolve(ctx, s.cfg.Name)
	if err != nil {
		return err
	}
	if err := verify(e, path); err != nil {
		return err
	}
	result := make(chan error, 1)
	select {
	case s.reloads <- result:
	case <-done:
		return broken("replication plugin %q was stopped", s.cfg.Name)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-result:
		return err
	case <-done:
		return broken("replication plugin %q was stopped", s.cfg.Name)
	case <-ctx.Done():
		return ctx.Err()
	}
}
