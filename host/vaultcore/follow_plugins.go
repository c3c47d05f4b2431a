// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/plugincatalog"

	"github.com/vault-replication/vault-replication/host/follow/mounttable"
)

// PrepareReload makes a reload of plugins by Vault itself (sys/plugins/reload)
// work on a secondary. When the plugin is another binary than the one that runs,
// Vault stores that in the mount table between ending the old backend and putting
// the new one in its place; a secondary may not, and the mount would be left with
// a backend that has ended. So the entries in memory name the catalog's binary
// before, and there is nothing to store.
func (l *Live) PrepareReload(ctx context.Context) error {
	var all error
	for table, kind := range map[string]consts.PluginType{
		mounttable.Secrets: consts.PluginTypeSecrets, mounttable.Auth: consts.PluginTypeCredential,
	} {
		slot, lock := l.tableOf(table)
		lock.Lock()
		if *slot != nil {
			for _, e := range (*slot).Entries {
				if !e.Local {
					all = errors.Join(all, l.nameBinary(ctx, e, kind))
				}
			}
		}
		lock.Unlock()
	}
	return all
}

func (l *Live) nameBinary(ctx context.Context, e *vault.MountEntry, kind consts.PluginType) error {
	version, err := resolveMountEntryVersion(l.core.Core, root(ctx), kind, e)
	if err != nil {
		return err
	}
	catalog := *field[*plugincatalog.PluginCatalog](l.core.Core, "pluginCatalog")
	runner, err := catalog.Get(root(ctx), e.Type, kind, version)
	if err != nil || runner == nil || len(runner.Sha256) == 0 {
		return err
	}
	e.RunningSha256 = hex.EncodeToString(runner.Sha256)
	return nil
}
