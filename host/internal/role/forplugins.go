// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// ForPlugins is the role as the services of plugins see it.
type ForPlugins struct {
	roles    *roles
	sessions *sessions
	changes  *changes
	copies   *copies
	storage  *observer
}

// Started gives the role to a plugin process that was started anew. While the node is not
// active there is nothing to begin.
func (f ForPlugins) Started(ctx context.Context, mode replication.Mode, b replication.Backend) error {
	if _, err := f.roles.active(); err != nil {
		return nil //nolint:nilerr // a node that is not active gives no role
	}
	f.sessions.begun.end(mode)
	return f.sessions.giveRole(ctx, mode, b)
}

// Active implements services.Roles.
func (f ForPlugins) Active() (context.Context, error) { return f.roles.active() }

// Role implements services.Roles.
func (f ForPlugins) Role(mode replication.Mode) replication.Role { return f.roles.Role(mode) }

// Set implements services.Roles.
func (f ForPlugins) Set(mode replication.Mode) (id string, epoch replication.Epoch, indexKey []byte) {
	mr := f.roles.Record().mode(mode)
	return mr.SetID, mr.Epoch, mr.IndexKey
}

// Plugin implements services.Sessions.
func (f ForPlugins) Plugin(mode replication.Mode) replication.Backend {
	return f.sessions.plugins.Running(mode)
}

// FailoverAddrs implements services.Sessions.
func (f ForPlugins) FailoverAddrs(ctx context.Context) []string { return f.sessions.failoverAddrs(ctx) }

// Applying implements services.Content.
func (f ForPlugins) Applying(apply func() error) error {
	f.changes.applies.RLock()
	defer f.changes.applies.RUnlock()
	return apply()
}

// Copied implements services.Content.
func (f ForPlugins) Copied(mode replication.Mode) { f.copies.ended(mode) }

// HistoryLost implements services.Content.
func (f ForPlugins) HistoryLost() { f.storage.HistoryLost() }
