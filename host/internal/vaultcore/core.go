// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/storage/wholefile"
)

// Core is a Vault core with the seams that replication needs. Its hooks must be
// set between [Attach] and the first unseal; everything else is safe for
// concurrent use.
type Core struct {
	*vault.Core
	Barrier
	Node
	*Backends
	routes.Mounted

	// restarting serialises changes of role.
	restarting sync.Mutex
	inRestart  atomic.Bool
}

// Attach checks the expectations and puts the seams of the barrier, of file storage and of
// the core's own backends in. It must run before the core is unsealed for the first time.
func Attach(core *vault.Core) (*Core, error) {
	if err := pinned.Check(); err != nil {
		return nil, err
	}
	slot := pinned.Field[vault.SecurityBarrier](core, "barrier")
	inner, ok := (*slot).(*vault.AESGCMBarrier)
	if !ok {
		return nil, fmt.Errorf("the barrier of this Vault is a %T, not the AES-GCM barrier: replication cannot attach", *slot)
	}
	if sealed, err := inner.Sealed(); err != nil || !sealed {
		return nil, errors.New("replication must attach before Vault is unsealed")
	}
	b := Barrier{core, &openBarrier{SecurityBarrier: inner, inner: inner, opened: func() bool { return !core.Sealed() }}}
	*slot = b.barrier
	backends := &Backends{core: core, stored: b, onBackend: map[string]func(*framework.Backend) error{}}
	c := &Core{Core: core, Barrier: b, Node: Node{core}, Backends: backends, Mounted: routes.Of(core)}
	c.hookCoreBackends()
	return c, c.writeFilesWhole()
}

// InstallStorage puts a wrapper around the storage that the barrier and the seal write to. Raft and HA keep their
// storage.
func (c *Core) InstallStorage(wrap func(physical.Backend) physical.Backend) {
	chain := pinned.Field[physical.Backend](c.Core, "physical")
	wrapped := wrap(*chain)
	*chain = wrapped
	*pinned.Field[physical.Backend](c.barrier.inner, "backend") = wrapped
}

// writeFilesWhole makes file storage write rows so that a cut write leaves no other row. It leaves other storage as it
// is.
func (c *Core) writeFilesWhole() error {
	store, ok := c.UnderlyingStorage().(*file.FileBackend)
	if !ok {
		return nil
	}
	whole, err := wholefile.Over(store, *pinned.Field[string](store, "path"), !c.HasHA())
	if err != nil {
		return fmt.Errorf("unfinished files cannot be removed from file storage: %w", err)
	}
	above := *pinned.Field[physical.Backend](c.Core, "sealUnwrapper")
	*pinned.Field[physical.Backend](above, "underlying") = whole
	return nil
}

// SetReplicationState sets the state that Vault's code for secondaries reads. It takes effect at once for requests;
// what a core builds at unseal follows at the next [Core.Restart]. A standby reports the state of its active node, or
// the stored one until it has heard from that.
func (c *Core) SetReplicationState(s consts.ReplicationState) {
	atomic.StoreUint32(*pinned.Field[*uint32](c.Core, "replicationState"), uint32(s))
	atomic.StoreUint32(*pinned.Field[*uint32](c.Core, "activeNodeReplicationState"), uint32(s))
}
