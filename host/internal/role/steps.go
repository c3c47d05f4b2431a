// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
)

// steps proves the steps of changes of role on storage without transactions, with a key from the root key that the
// barrier has before the step.
type steps struct {
	core *vaultcore.Core

	mu sync.Mutex
	// kept is the key while the core is restarted in place, because the step is made then.
	kept []byte
}

func (s *steps) attach(core *vaultcore.Core, store physical.Backend) {
	s.core = core
	if st, ok := store.(*onestep.Store); ok {
		st.SetKey(s.proofKey)
	}
}

// proofKey is the key from the open barrier, or from the barrier that was open before a restart in place.
func (s *steps) proofKey() ([]byte, error) {
	root, err := s.core.RootKey()
	if err == nil {
		defer clear(root)
		return onestep.Key(root)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return nil, fmt.Errorf("the root key of the barrier cannot be read: %w", err)
	}
	return s.kept, nil
}

// sealing runs while the barrier is still open.
func (s *steps) sealing() {
	var key []byte
	if s.core.Restarting() {
		key, _ = s.proofKey() // without it a step is refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = key
}

// opened runs when the barrier is open again.
func (s *steps) opened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
}

// settle undoes what a cut step has written. Only the node that leads calls it, before it
// reads anything that a step writes.
func (s *steps) settle(ctx context.Context, store physical.Backend, logger hclog.Logger) error {
	err := onestep.Settle(ctx, store)
	if errors.Is(err, onestep.ErrAnotherState) {
		logger.Error(err.Error())
		return nil
	}
	return err
}

func (s *steps) close(store physical.Backend) {
	if st, ok := store.(*onestep.Store); ok {
		st.Close()
	}
}
