// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// run is the loop of the supervisor.
func (s *Supervisor) run(ctx context.Context, done chan struct{}) {
	// Processes end with the thread that started them, see endWithHost.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() {
		s.mu.Lock()
		s.cancel() // releases the context
		s.cancel = nil
		s.mu.Unlock()
		close(done)
	}()

	retry := pause.Growing(s.cfg.BackoffMin, s.cfg.BackoffMax)

	var reload chan error // the caller that waits for the next start, nil for none
	for ctx.Err() == nil {
		began := time.Now()
		next, err := s.runOnce(ctx, reload)
		reload = nil
		if ctx.Err() != nil {
			return
		}
		if next != nil {
			reload = next
			retry.Reset()
			continue
		}
		s.setError(err)
		if time.Since(began) > s.cfg.BackoffMax {
			retry.Reset()
		}
		wait := retry.NextBackOff()
		s.cfg.Logger.Error("replication plugin failed, it is restarted", "plugin", s.cfg.Name, "in", wait.String(), "error",
			err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			s.mu.Lock()
			s.health.Restarts++
			s.mu.Unlock()
		case reload = <-s.reloads:
			retry.Reset()
		}
	}
}

// runOnce runs one process to its end. It sends the result of the start to started. It returns the caller of a reload,
// or the reason why the process failed.
func (s *Supervisor) runOnce(ctx context.Context, started chan<- error) (reload chan error, err error) {
	tell := func(err error) {
		if started != nil {
			started <- err // has room for it
			started = nil
		}
	}
	defer func() { tell(err) }()

	e, path, err := s.cfg.Catalog.resolve(ctx, s.cfg.Name)
	if err != nil {
		return nil, err
	}
	p, err := s.launch(ctx, e, path)
	if err != nil {
		return nil, err
	}
	s.setProcess(p)
	defer s.setProcess(nil)

	if err := s.begin(ctx, p); err != nil {
		s.setProcess(nil)
		p.destroy()
		return nil, err
	}
	s.setLive(p.backend)
	tell(nil)
	s.cfg.Logger.Info("replication plugin runs", "plugin", e.Name, "pid", p.pid, "version", e.Version,
		"capabilities", p.backend.Capabilities(), "builtin", e.Builtin)

	reload, err = s.watch(ctx, p)
	s.setProcess(nil) // no call goes to a process that is being ended
	if err != nil {
		if errors.Is(err, errLost) {
			err = p.exitReason()
		}
		p.destroy()
		return nil, err
	}
	p.stop(s.cfg.StopTimeout)
	return reload, nil
}

// begin calls OnStart. The call ends with the process, and when its time is over.
func (s *Supervisor) begin(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	go func() {
		select {
		case <-p.backend.Lost():
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.cfg.OnStart(ctx, p.backend); err != nil {
		return replication.Errorf(replication.KindOf(err), "plugin %q was started but could not begin its work: %w",
			p.entry.Name, err)
	}
	return nil
}

// errLost says that a process is gone.
var errLost = errors.New("the plugin is gone")

// watch waits until the process fails (an error), another process is wanted (reload), or
// ctx ends (neither).
func (s *Supervisor) watch(ctx context.Context, p *process) (reload chan error, err error) {
	// A goroutine asks, so that a plugin that hangs holds up nothing else in the loop.
	hung := make(chan error, 1)
	pingCtx, cancel := context.WithCancel(ctx)
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		hung <- s.ping(pingCtx, p)
	}()
	defer func() {
		cancel()
		<-pinging
	}()
	select {
	case <-ctx.Done():
		return nil, nil
	case reload = <-s.reloads:
		return reload, nil
	case <-p.backend.Lost():
		return nil, errLost
	case err = <-hung:
		return nil, err
	}
}

// ping asks the plugin for its status until it fails to answer several times in a row. An
// error is an answer too.
func (s *Supervisor) ping(ctx context.Context, p *process) error {
	ticker := time.NewTicker(s.cfg.PingInterval)
	defer ticker.Stop()
	for misses := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		pingCtx, cancel := context.WithTimeout(ctx, s.cfg.PingTimeout)
		_, err := p.backend.Status(pingCtx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			misses = 0
			continue
		}
		misses++
		s.cfg.Logger.Warn("replication plugin does not answer", "plugin", p.entry.Name, "pid", p.pid, "misses", misses)
		if misses == s.cfg.PingMisses {
			return broken("plugin %q did not answer %d times within %s each and was killed", p.entry.Name, misses,
				s.cfg.PingTimeout)
		}
	}
}
