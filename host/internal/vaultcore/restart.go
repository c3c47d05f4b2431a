// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// Restart seals the core in place, runs during, and unseals it again. Raft and the
// cluster listener stay up, and the HA lock until the core is unsealed: with raft there
// is no election, and nobody has to give key shares. It takes about half a second, the
// time that Vault waits for forwarded requests; on other storage with HA a second more.
//
// The core's state lock is held from before the seal until after the unseal. A share
// that an operator gives in between waits and meets the core in its new role. Vault would
// answer a seal in between at once, because the core is sealed, and the unseal would undo
// it: so the caller keeps requests out.
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
	defer c.lockState(restartPatience).Unlock()

	if c.Sealed() {
		return errors.New("the node is sealed: unseal it before its role can change")
	}
	old, err := c.RootKey()
	if err != nil {
		return fmt.Errorf("the root key of the open barrier cannot be read: %w", err)
	}
	defer clear(old)

	c.cancelRequests()
	if err := pinned.SealInternalWithOptions(c.Core, false, true, false); err != nil {
		return fmt.Errorf("seal in place: %w", err)
	}
	defer c.releaseLock()()
	key, duringErr := during(ctx)
	if duringErr != nil || key == nil {
		key = old
	}
	if err := pinned.UnsealInternal(c.Core, ctx, key); err != nil {
		if duringErr != nil {
			return fmt.Errorf("unseal after a change that failed (%w): %w: the node stays sealed and needs its key shares",
				duringErr, err)
		}
		return fmt.Errorf("unseal in place: the node stays sealed and needs its key shares: %w", err)
	}
	return duringErr
}

// releaseLock takes the HA lock, which the seal has kept, from the core. It returns the
// function that gives the lock up once the core is unsealed. The unsealed core asks for a
// new lock. Raft gives it one, because the node still leads. Any other storage would make
// it wait for the old lock for ever, which is renewed as long as the process lives. There
// another node may become active first; it finds what was written.
func (c *Core) releaseLock() (release func()) {
	held := pinned.Field[physical.Lock](c.Core, "heldHALock")
	lock := *held
	if lock == nil || c.raftElects() {
		return func() {}
	}
	*held = nil
	return func() {
		if err := lock.Unlock(); err != nil {
			c.Logger().Warn("the HA lock of before a change of role could not be given up; this node becomes active again "+
				"when it has expired", "error", err)
		}
	}
}

// Restarting says whether a restart in place is under way.
func (c *Core) Restarting() bool { return c.inRestart.Load() }

// restartPatience is how long a restart waits for what the core does by itself. Requests
// of clients have ended before.
const restartPatience = 5 * time.Second

// lockState takes the core's state lock. What is under way is waited for, and cancelled
// after a while, as Vault does when it seals.
func (c *Core) lockState(patience time.Duration) locking.RWMutex {
	lock := *pinned.Field[locking.RWMutex](c.Core, "stateLock")
	cancel := time.AfterFunc(patience, c.cancelRequests)
	lock.Lock()
	cancel.Stop()
	return lock
}

// cancelRequests ends the context of the active duty.
func (c *Core) cancelRequests() {
	if cancel, ok := (*pinned.Field[*atomic.Value](c.Core, "activeContextCancelFunc")).Load().(context.CancelFunc); ok &&
		cancel != nil {
		cancel()
	}
}
