// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/live"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// HideMounts makes a performance secondary skip some mounts when it loads its tables at unseal: the hidden ones, and
// those at the path of a local mount, because Vault does not unseal with two mounts at one path. Storage is not
// changed. It must be called before the first unseal.
func (c *Core) HideMounts(hidden func(table string, e mounttable.Entry) bool) {
	load := func(ctx context.Context, e *logical.StorageEntry) error {
		if !c.ReplicationState().HasState(consts.ReplicationPerformanceSecondary) {
			return nil
		}
		local, err := c.GetEntry(ctx, vaultname.LocalOf(e.Key))
		if err != nil {
			return err
		}
		e.Value, err = mounttable.Filter(e.Value, local, func(m mounttable.Entry) bool { return hidden(e.Key, m) })
		if err != nil {
			return fmt.Errorf("%s: %w", e.Key, err)
		}
		return nil
	}
	c.barrier.onTable.Store(&load)
}

// Get reads a record for the core. The tables of mounts are read at unseal alone.
func (b *openBarrier) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	e, err := b.inner.Get(ctx, key)
	if err != nil || e == nil || (key != vaultname.Mounts && key != vaultname.Auth) {
		return e, err
	}
	if load := b.onTable.Load(); load != nil {
		if err := (*load)(ctx, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Live is the core as it runs. Clear deletes what is stored below a view's prefix.
func (c *Core) Live(wrap live.WrapBackend, clear func(ctx context.Context, prefix string) error) *live.Live {
	return live.New(c.Core, c.barrier, c.barrier.inner, wrap, clear)
}
