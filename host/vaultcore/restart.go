// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/helper/locking"
)

// Restart seals the core in place, runs during, and unseals it again. Raft, the
// HA lock and the cluster listener stay up: there is no election and nobody has
// to give key shares. It takes about half a second, the time that Vault waits for
// forwarded requests.
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

	old, err := c.RootKey()
	if err != nil {
		return fmt.Errorf("the node is sealed: unseal it before its role can change: %w", err)
	}
	defer clear(old)

	if err := sealInternalWithOptions(c.Core, true, true, false); err != nil {
		return fmt.Errorf("seal in place: %w", err)
	}
	key, duringErr := during(ctx)
	if duringErr != nil || key == nil {
		key = old
	}

	lock := *field[locking.RWMutex](c.Core, "stateLock")
	lock.Lock()
	defer lock.Unlock()
	if err := unsealInternal(c.Core, ctx, key); err != nil {
		if duringErr != nil {
			return fmt.Errorf("unseal after a change that failed (%w): %v: the node stays sealed and needs its key shares", duringErr, err)
		}
		return fmt.Errorf("unseal in place: the node stays sealed and needs its key shares: %w", err)
	}
	return duringErr
}
