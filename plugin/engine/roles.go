// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"github.com/vault-replication/vault-replication/shared/replication"
)

// role returns the role that the engine was started with. Unavailable before Start.
func (e *Engine) role() (replication.StartRequest, *primaryRole, *secondaryRole, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.started {
		return replication.StartRequest{}, nil, nil, errNotStarted
	}
	return e.start, e.primary, e.secondary, nil
}

// asDisabled refuses what only a cluster without a role can do.
func (e *Engine) asDisabled(what string) error {
	start, _, _, err := e.role()
	if err != nil {
		return err
	}
	switch start.Role {
	case replication.Disabled:
		return nil
	case replication.Primary:
		return replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is a %s primary already; disable it first", what, e.cfg.Mode)
	default:
		return replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is a %s secondary already; promote or disable it instead", what, e.cfg.Mode)
	}
}

func (e *Engine) asPrimary(what string) (replication.StartRequest, *primaryRole, error) {
	start, p, _, err := e.role()
	if err == nil && p == nil {
		err = replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is not a %s primary", what, e.cfg.Mode)
	}
	return start, p, err
}

func (e *Engine) asSecondary(what string) (replication.StartRequest, *secondaryRole, error) {
	start, _, s, err := e.role()
	if err == nil && s == nil {
		err = replication.Errorf(replication.InvalidInput, "%s is not possible: this cluster is not a %s secondary", what, e.cfg.Mode)
	}
	return start, s, err
}
