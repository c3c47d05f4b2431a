// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/entity"
	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Decorate makes one of the core's own backends forward the requests that only the primary may carry out. It runs each
// time that the backend is made, in the role of that time.
func (s *Server) Decorate(b *framework.Backend, kind string) error {
	if kind == vaultname.Token {
		err := entity.DecorateTokenCreate(b, func() entity.Ensurer {
			if s.Set.Serves() {
				return s.entities
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if kind == vaultname.System {
		routing.After(b, []string{"mounts/", "auth/", "plugins/reload/"}, s.learn)
	}
	if !s.Set.Serves() {
		return nil
	}
	if kind == vaultname.Identity {
		s.identity.WatchReaders(b)
	}
	unnamed, err := routing.DecorateForward(b, kind, s, s)
	if len(unnamed) > 0 {
		s.Logger.Debug("these paths are served by this secondary alone", "backend", kind, "paths", unnamed)
	}
	if kind == vaultname.System {
		if reload := routing.DecorateReload(b, s.live); reload != nil {
			return reload
		}
		routing.After(b, []string{"plugins/reload/", "mounts/", "auth/"}, s.wrap)
		// The path of a shared mount may be free of a local one now, or its plugin may be installed. RecheckSoon does not
		// wait: the request holds the core's state, and an apply may wait for the request.
		routing.After(b, []string{"plugins/reload/", "mounts/", "auth/", "remount", "audit/"}, s.follower.RecheckSoon)
	}
	return err
}

// LocalAlias implements [routing.Locals].
func (s *Server) LocalAlias(id, accessor string) bool { return s.identity.LocalAlias(id, accessor) }

// LocalClash implements [routing.Locals].
func (s *Server) LocalClash(into string, from, keep []string) string {
	return s.identity.LocalClash(into, from, keep)
}

// LocalMount implements [routing.Locals].
func (s *Server) LocalMount(path string) bool {
	m, ok := s.Core.MountAt(path)
	return ok && m.Local
}

// learn takes up what the backends of all mounts declare local: at unseal, and after a request that may have mounted or
// replaced one.
func (s *Server) learn() {
	if s.Set.Inert() {
		return // inert backends declare nothing
	}
	for _, m := range s.Core.Mounts() {
		b := s.Core.BackendOf(m.Path)
		if b == nil {
			continue
		}
		if err := s.Mounts.LearnBackend(context.Background(), m, b); err != nil {
			s.Logger.Error("the local storage of a mount could not be learned; its keys are held back from performance "+
				"secondaries", "mount", m.Path, "error", err)
		}
	}
}

// ready runs at the end of each unseal, before any request is served.
func (s *Server) ready(ctx context.Context) {
	s.learn()
	if !s.Set.Serves() {
		return
	}
	s.wrap()
	if err := s.identity.ForwardWrites(s.entities); err != nil {
		s.Logger.Error("groups and entities that a request of this secondary needs cannot be made on the primary", "error",
			err)
	}
	s.follower.Start(ctx)
	if err := s.Hiding.ClearHidden(ctx); err != nil {
		s.Logger.Warn("what this secondary has of mounts that its paths filter hides is deleted when it is unsealed next",
			"error", err)
	}
	// During a copy a missing entity may still arrive.
	if s.Set.Consistent(ctx) {
		if err := s.identity.SweepLocalAliases(ctx); err != nil {
			s.Logger.Warn("aliases of local auth mounts whose entity is gone stay until the next unseal", "error", err)
		}
	}
}

// wrap puts wrappers in front of all backends that have none.
func (s *Server) wrap() {
	if !s.Set.Serves() {
		return
	}
	// Local mounts too: their requests stay here, but a login may need an entity that only the primary can make.
	err := s.Core.WrapBackends(s.plan.Wrap)
	if err != nil {
		s.Logger.Error("writes to some mounts are refused and not forwarded to the primary", "error", err)
	}
}

// wrapEntry puts a wrapper in front of the backend of a mount that has come from the primary.
func (s *Server) wrapEntry(e *vault.MountEntry, b logical.Backend) logical.Backend {
	m := routes.MountOf(e)
	if err := s.Mounts.LearnBackend(context.Background(), m, b); err != nil {
		s.Logger.Error("the local storage of a mount could not be learned", "mount", m.Path, "error", err)
	}
	return s.plan.Wrap(m, b)
}
