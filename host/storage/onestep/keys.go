// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

const (
	// RecordKey is the storage key of the record. It is of class Own.
	RecordKey = "replication/step"
	// formerKey is the record of former versions: rows that the next start wrote, without proof. It is removed unread.
	formerKey = "replication/redo"
	// roleKey is one of the two rows that a record is bound to; the other is the keyring.
	roleKey = vaultname.Replication + "role"
)

// The keys and prefixes that a change of role or of keys writes.
var (
	stepKeys = []string{
		vaultname.Keyring, vaultname.RootKey, vaultname.ShamirKey,
		vaultname.SealConfig, vaultname.RecoverySealConfig, vaultname.RecoveryConfig, vaultname.RecoveryKey,
		vaultname.Mounts, vaultname.LocalMounts, vaultname.Auth, vaultname.LocalAuth, vaultname.Audit, vaultname.LocalAudit,
		vaultname.WrappingKey, vaultname.IndexHeaderKey, vaultname.ClusterInfo,
		vaultname.RaftTLS, vaultname.AutopilotConfig, vaultname.AutopilotState,
	}
	stepPrefixes = []string{
		vaultname.HSM, vaultname.Leader, vaultname.Versions, vaultname.Replication, vaultname.ReplicationFilters,
		"replication/", "index/pages/", "index-dr/pages/",
	}
)

// Allowed says whether a step may have a key.
func Allowed(key string) bool {
	if key == RecordKey || key == formerKey {
		return false
	}
	return slices.Contains(stepKeys, key) ||
		slices.ContainsFunc(stepPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// mayHold says whether a directory may have keys of a step.
func mayHold(dir string) bool {
	below := func(key string) bool { return strings.HasPrefix(key, dir) }
	return slices.ContainsFunc(stepPrefixes, func(p string) bool { return below(p) || strings.HasPrefix(dir, p) }) ||
		slices.ContainsFunc(stepKeys, below)
}
