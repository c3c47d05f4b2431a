// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/vault"
)

// Restart seals the core in place, runs during, and unseals it again. Raft, the
// HA lock and the cluster listener stay up: there is no election and nobody has
// to give key shares. It takes about half a second, the time that Vault waits for
// forwarded requests.
//
// The core's state lock is held from before the seal until after the unseal: a
// share that an operator gives in between waits and meets the core in its new
// role. A seal that is asked for in between would be answered at once, as for a
// core that is sealed already, and then undone: see [Core.Restarting].
//
// During runs while nothing in the core can write. It returns the root key to
// unseal with, nil for the one in use. When it fails the core is unsealed as it
// was and the error is returned.
//
// The caller must not hold the core's state lock: never call it from within a
// request. A panic in here is not recovered, for it would leave the core half
// sealed: the process ends and starts anew from storage.
func (c *Core) Restart(ctx context.Context, during func(context.Context) ([]byte, error)) error {
	c.restarting.Lock()
	defer c.restarting.Unlock()
	c.inRestart.Store(true)
	defer c.inRestart.Store(false)
	defer c.lockState().Unlock()

	if c.Sealed() {
		return errors.New("the node is sealed: unseal it before its role can change")
	}
	old, err := c.RootKey()
	if err != nil {
		return fmt.Errorf("the root key of the open barrier cannot be read: %w", err)
	}
	defer clear(old)

	c.cancelRequests()
	if err := sealInternalWithOptions(c.Core, false, true, false); err != nil {
		return fmt.Errorf("seal in place: %w", err)
	}
	key, duringErr := during(ctx)
	if duringErr != nil || key == nil {
		key = old
	}
	if err := unsealInternal(c.Core, ctx, key); err != nil {
		if duringErr != nil {
			return fmt.Errorf("unseal after a change that failed (%w): %v: the node stays sealed and needs its key shares", duringErr, err)
		}
		return fmt.Errorf("unseal in place: the node stays sealed and needs its key shares: %w", err)
	}
	return duringErr
}

// Restarting says whether a restart in place is under way. Requests to seal must
// be refused then.
func (c *Core) Restarting() bool { return c.inRestart.Load() }

// lockState takes the core's state lock. Requests under way are waited for; after
// the longest time that a request may take they are cancelled, as Vault does when
// it seals.
func (c *Core) lockState() locking.RWMutex {
	lock := *field[locking.RWMutex](c.Core, "stateLock")
	patience := time.AfterFunc(vault.DefaultMaxRequestDuration, c.cancelRequests)
	lock.Lock()
	patience.Stop()
	return lock
}

// cancelRequests ends the context of the active duty.
func (c *Core) cancelRequests() {
	if cancel, ok := (*field[*atomic.Value](c.Core, "activeContextCancelFunc")).Load().(context.CancelFunc); ok && cancel != nil {
		cancel()
	}
}
