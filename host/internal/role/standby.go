// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/shared/pause"
)

// standbyInterval is how often a standby looks for changes by the active node; standbyTimeout bounds one look.
const (
	standbyInterval = time.Second
	standbyTimeout  = 10 * time.Second
)

// standby looks for changed roles and keys, from each unseal until the barrier is closed. Standbys have these only from
// storage, and nobody notifies them when the active node changes them. See docs/adr/0017-standbys.md.

type standby struct {
	core   *vaultcore.Core
	logger hclog.Logger
	// follow takes up the role if the active node has changed it.
	follow func(context.Context) error

	mu sync.Mutex
	// cancel ends the looking, nil while there is none.
	cancel context.CancelFunc
}

// begin begins to look, unless it has begun.
func (s *standby) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	former := s.cancel
	s.cancel = cancel
	s.mu.Unlock()
	if former != nil {
		former()
	}
	go s.look(ctx)
}

func (s *standby) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
}

func (s *standby) look(ctx context.Context) {
	for pause.For(ctx, standbyInterval) == nil {
		replaced := false
		err := s.core.WhileStandby(func() error {
			if ctx.Err() != nil {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, standbyTimeout)
			defer cancel()
			var err error
			if replaced, err = s.core.KeysReplaced(ctx); replaced || err != nil {
				return err
			}
			return s.follow(ctx)
		})
		if replaced {
			s.seal()
			return
		}
		if err != nil && ctx.Err() == nil {
			s.logger.Debug("this standby could not look for a change of its cluster's keys and role; it looks again", "error",
				err)
		}
	}
}

// checkKeys keeps a node with replaced keys from the leadership, and seals it. Otherwise the node could not read the
// storage, and Vault would end the server.
func (s *standby) checkKeys(ctx context.Context) error {
	replaced, err := s.core.KeysReplaced(ctx)
	if err != nil {
		// Vault's own check comes next, and reports the fault.
		s.logger.Debug("this node could not look for a change of its cluster's keys", "error", err)
		return nil
	}
	if !replaced {
		return nil
	}
	go s.seal()
	return fmt.Errorf("the keys of this cluster were replaced, so that this node must not lead: %w", context.Canceled)
}

// seal seals this standby, because its keys do not open the storage any more.
func (s *standby) seal() {
	s.logger.Warn("the keys of this cluster were replaced, as happens when it becomes a secondary: this standby seals " +
		"itself, and is unsealed with the key shares of the primary")
	again(sealRetry, func() error { return s.core.SealStandby(context.Background()) }, func(err error) {
		s.logger.Error("this standby has keys that mean nothing any more and could not be brought to the new ones, perhaps "+
			"because what unseals it does not answer; it is tried again in five seconds", "error", err)
	})
}

// sealRetry is the pause after a seal or an automatic unseal that failed, as Vault has it
// where it starts.
const sealRetry = 5 * time.Second

// again does something until it succeeds.
func again(rest time.Duration, do func() error, failed func(error)) {
	for err := do(); err != nil; err = do() {
		failed(err)
		time.Sleep(rest)
	}
}
