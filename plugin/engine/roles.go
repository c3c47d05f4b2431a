// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// roles is what the engine was started with.
type roles struct {
	mode replication.Mode

	mu      sync.RWMutex
	started bool
	// failed says why the last Start did not succeed.
	failed    string
	start     replication.StartRequest
	primary   *primaryRole
	secondary *secondaryRole
}

func (r *roles) set(req replication.StartRequest, p *primaryRole, s *secondaryRole) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started, r.start, r.primary, r.secondary = true, req, p, s
}

func (r *roles) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err.Error()
}

// end returns what ran. The caller ends it.
func (r *roles) end() (*primaryRole, *secondaryRole) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, s := r.primary, r.secondary
	r.started, r.failed, r.primary, r.secondary = false, "", nil, nil
	return p, s
}

// goOn takes back a demotion that did not happen, so that sessions that end later do not count as ended by it.
func (r *roles) goOn() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.primary != nil {
		r.primary.demoted.Store(false)
	}
}

// running returns what runs. Failed says why the last Start did not succeed.
func (r *roles) running() (started bool, failed string, p *primaryRole, s *secondaryRole) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.started, r.failed, r.primary, r.secondary
}

// now returns the role that the engine was started with. Unavailable before Start.
func (r *roles) now() (replication.StartRequest, *primaryRole, *secondaryRole, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.started {
		return replication.StartRequest{}, nil, nil, errNotStarted
	}
	return r.start, r.primary, r.secondary, nil
}

// asDisabled refuses what only a cluster without a role can do.
func (r *roles) asDisabled(what string) (replication.StartRequest, error) {
	start, _, _, err := r.now()
	if err != nil {
		return start, err
	}
	switch start.Role {
	case replication.Disabled:
		return start, nil
	case replication.Primary:
		return start, replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is a %s primary "+
			"already; disable it first", what, r.mode)
	default:
		return start, replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is a %s secondary "+
			"already; promote or disable it instead", what, r.mode)
	}
}

func (r *roles) asPrimary(what string) (replication.StartRequest, *primaryRole, error) {
	start, p, _, err := r.now()
	if err == nil && p == nil {
		err = replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is not a %s primary", what,
			r.mode)
	}
	return start, p, err
}

func (r *roles) asSecondary(what string) (replication.StartRequest, *secondaryRole, error) {
	start, _, s, err := r.now()
	if err == nil && s == nil {
		err = replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is not a %s secondary", what,
			r.mode)
	}
	return start, s, err
}
