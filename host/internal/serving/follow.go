// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"context"
	"strings"

	"github.com/vault-replication/vault-replication/host/internal/follow"
)

// Applied implements role.Serving.
func (s *Server) Applied(ctx context.Context, keys []string) (left []string) {
	m, ok := s.Core.MountAt("identity/")
	if !ok {
		return keys // the core is not built yet, or no longer
	}
	rest, rows := splitIdentity(m.StoragePrefix, keys)
	if len(rows) > 0 {
		if err := s.refreshIdentity(ctx, rows); err != nil {
			s.Logger.Error("a change of identity was not taken up; it is tried again", "error", err)
			for _, row := range rows {
				left = append(left, m.StoragePrefix+row)
			}
		}
	}
	if len(rest) > 0 {
		left = append(left, s.follower.Applied(ctx, rest)...)
	}
	return left
}

// splitIdentity separates the rows of the identity store, relative to its view, from the others. They do not use
// Vault's own invalidation, which needs rows one by one in the order of the primary's writes.
func splitIdentity(view string, keys []string) (rest, rows []string) {
	for _, key := range keys {
		if row, is := strings.CutPrefix(key, view); is {
			rows = append(rows, row)
		} else {
			rest = append(rest, key)
		}
	}
	return rest, rows
}

func (s *Server) refreshIdentity(ctx context.Context, rows []string) error {
	soon, cancel := context.WithTimeout(ctx, follow.HoldWait)
	defer cancel()
	release, err := s.live.Hold(soon)
	if err != nil {
		return err
	}
	defer release()
	if err := s.identity.Refresh(ctx, rows); err != nil {
		return err
	}
	return ctx.Err() // if the context has ended, it may have cut this
}

// Lacks implements role.Serving.
func (s *Server) Lacks() []string { return s.follower.Lacks() }
