// SPDX-License-Identifier: MPL-2.0

package vaultname

import "strings"

// Keys of the key material and the seal.
const (
	// Keyring has the keys that all data is encrypted with, under the root key.
	Keyring = "core/keyring"
	// RootKey is the root key under the keyring, for standbys to follow a rekey.
	RootKey = "core/master"
	// ShamirKey is the key that the key shares of a Shamir seal combine to.
	ShamirKey = "core/shamir-kek"
	// StoredKeys are the keys below HSM that the seal opens the barrier with.
	StoredKeys         = HSM + "barrier-unseal-keys"
	HSM                = "core/hsm/"
	SealConfig         = "core/seal-config"
	RecoveryConfig     = "core/recovery-config"
	RecoverySealConfig = "core/recovery-seal-config" // where old versions had RecoveryConfig
	RecoveryKey        = "core/recovery-key"
)

// Keys of the core's tables of mounts and audit devices.
const (
	Mounts      = "core/mounts"
	Auth        = "core/auth"
	Audit       = "core/audit"
	LocalMounts = localTable + "mounts"
	LocalAuth   = localTable + "auth"
	LocalAudit  = localTable + "audit"
)

const (
	core       = "core/"
	localTable = "core/local-"
)

// Keys of a cluster, its nodes and what it signs with.
const (
	Leader             = "core/leader/"
	Versions           = "core/versions/"
	ClusterInfo        = "core/cluster/local/info"
	RaftTLS            = "core/raft/tls"
	AutopilotConfig    = "core/raft/autopilot/configuration"
	AutopilotState     = "core/raft/autopilot/state"
	WrappingKey        = "core/wrapping/jwtkey"
	IndexHeaderKey     = "core/index-header-hmac-key"
	PluginCatalog      = "core/plugin-catalog/"
	ReplicationFilters = "core/replication-filters/"
	Replication        = "core/replication/"
)

// Keys of the system mount, which a running core keeps in memory.
const (
	Policies       = "sys/policy/"
	Quotas         = "sys/quotas/"
	LoginMFA       = "sys/login-mfa/"
	CORS           = "sys/config/cors"
	UIConfig       = "sys/uiconfig"
	AuditedHeaders = "sys/audited-headers-config/"
	Activation     = "sys/activation-flags"
	// Leases is the prefix of this cluster's leases. The rest of a key is the id of the lease, which begins with the path
	// of the mount.
	Leases = "sys/expire/id/"
)

// LocalOf is the key of the table of local mounts beside a replicated one.
func LocalOf(table string) string { return localTable + strings.TrimPrefix(table, core) }

// IsLocalTable says whether a key is the key of a table of local mounts.
func IsLocalTable(key string) bool { return strings.HasPrefix(key, localTable) }

// IsKey says whether a row has keys that open the barrier. All values of such a row must be applied in their order: a
// root key is stored under a key of the former keyring, so a secondary with only the last value could not follow.
func IsKey(key string) bool { return key == Keyring || key == RootKey }
