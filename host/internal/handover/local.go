// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/versions"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// cubbyhole is the type of the one mount that every cluster has for itself. With a slash it
// is its path.
const cubbyhole = "cubbyhole"

// SeedLocal adds the table of local mounts that a new performance secondary starts with.
// Without it the core would miss its cubbyhole at unseal and write all mount tables, though
// a secondary must not write the shared one.
func SeedLocal(records map[string][]byte) error {
	ids := make([]string, 3)
	for i := range ids {
		id, err := uuid.GenerateUUID()
		if err != nil {
			return err
		}
		ids[i] = id
	}
	raw, err := json.Marshal(&vault.MountTable{
		Type: "mounts",
		Entries: []*vault.MountEntry{{
			Table: "mounts", Path: cubbyhole + "/", Type: cubbyhole, Local: true,
			Description:      "per-token private secret storage",
			UUID:             ids[0],
			BackendAwareUUID: ids[1],
			Accessor:         cubbyhole + "_" + ids[2][:8],
			NamespaceID:      namespace.RootNamespaceID,
			RunningVersion:   versions.GetBuiltinVersion(consts.PluginTypeSecrets, cubbyhole),
		}},
	})
	if err != nil {
		return fmt.Errorf("the table of local mounts cannot be made: %w", err)
	}
	records[vaultname.LocalMounts] = raw
	return nil
}
