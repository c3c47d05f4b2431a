// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"slices"
	"strings"
)

const (
	// RecordKey is the storage key of the record. It is of class Own.
	RecordKey = "replication/step"
	// formerKey had rows to be written at the next start, without proof. It is removed.
	formerKey = "replication/redo"
	// roleKey and keyringKey are the rows that a record is bound to.
	roleKey    = "core/replication/role"
	keyringKey = "core/keyring"
)

// What a change of role or of keys writes: keys, and what is below a prefix.
var (
	stepKeys = []string{
		keyringKey, "core/master", "core/shamir-kek",
		"core/seal-config", "core/recovery-seal-config", "core/recovery-config", "core/recovery-key",
		"core/mounts", "core/local-mounts", "core/auth", "core/local-auth", "core/audit", "core/local-audit",
		"core/wrapping/jwtkey", "core/index-header-hmac-key", "core/cluster/local/info",
		"core/raft/tls", "core/raft/autopilot/configuration", "core/raft/autopilot/state",
	}
	stepPrefixes = []string{
		"core/hsm/", "core/leader/", "core/versions/", "core/replication/", "core/replication-filters/",
		"replication/", "index/pages/", "index-dr/pages/",
	}
)

// Allowed says whether a step may have a key.
func Allowed(key string) bool {
	if key == RecordKey || key == formerKey {
		return false
	}
	return slices.Contains(stepKeys, key) || slices.ContainsFunc(stepPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// mayHold says whether a directory may have keys of a step.
func mayHold(dir string) bool {
	below := func(key string) bool { return strings.HasPrefix(key, dir) }
	return slices.ContainsFunc(stepPrefixes, func(p string) bool { return below(p) || strings.HasPrefix(dir, p) }) ||
		slices.ContainsFunc(stepKeys, below)
}
