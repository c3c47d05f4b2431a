// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Health is what the status shows of a supervised plugin.
type Health struct {
	Name string `json:"name"`
	// Running says that there is a process and that OnStart has succeeded.
	Running bool `json:"running"`
	// PID is 0 when there is no process.
	PID int `json:"pid"`
	// Since is when that process was started; zero when there is none.
	Since time.Time `json:"since"`
	// Restarts counts attempts after the first, reloads not included.
	Restarts uint64 `json:"restarts"`
	// LastError is one sentence on the last failure, kept after recovery; empty
	// if nothing failed.
	LastError string `json:"last_error"`
	// Version and SHA256 are those of the entry last started; Version is what the
	// plugin told, if it did.
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Health describes the plugin now.
func (s *Supervisor) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	h.Running = s.live != nil
	return h
}

// Backend passes each call to the plugin's process that runs then. Calls are Unavailable
// while there is none.
func (s *Supervisor) Backend() replication.Backend { return facade{s} }

func (s *Supervisor) current() (replication.Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.live != nil:
		return s.live, nil
	case s.cancel == nil:
		return nil, broken("replication plugin %q is not running on this node", s.cfg.Name)
	case s.health.LastError != "":
		return nil, broken("replication plugin %q is restarting, try again shortly: %s", s.cfg.Name, s.health.LastError)
	}
	return nil, broken("replication plugin %q is starting, try again shortly", s.cfg.Name)
}

// setProcess notes a process that was started, nil for none.
func (s *Supervisor) setProcess(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = nil
	s.health.PID, s.health.Since = 0, time.Time{}
	if p != nil {
		s.health.PID, s.health.Since = p.pid, time.Now()
		s.health.SHA256 = p.entry.SHA256
		s.health.Version = p.entry.Version
	}
}

// setLive lets calls through to the process.
func (s *Supervisor) setLive(b replication.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = b
	close(s.ready)
	s.ready = make(chan struct{})
}

func (s *Supervisor) setError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.LastError = err.Error()
}
