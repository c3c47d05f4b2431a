// SPDX-License-Identifier: MPL-2.0

package routing

import "github.com/vault-replication/vault-replication/host/vaultname"

const (
	name   = `(?P<name>\w(([\w-.]+)?\w)?)`
	idRe   = `(?P<id>\w(([\w-.]+)?\w)?)`
	method = `(?P<method_id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`
)

// systemPaths are those of sys/.
var systemPaths = []CorePath{
	// Shared on every cluster.
	{Backend: vaultname.System, Pattern: `policy/(?P<name>.+)`, Way: AtOnce, Why: "policies are shared"},
	{Backend: vaultname.System, Pattern: `policies/acl/(?P<name>.+)`, Way: AtOnce, Why: "policies are shared"},
	{Backend: vaultname.System, Pattern: `policies/password/(?P<name>.+)`, Way: AtOnce,
		Why: "password policies are shared"},
	{Backend: vaultname.System, Pattern: `quotas/config`, Way: AtOnce, Why: "quotas are shared"},
	{Backend: vaultname.System, Pattern: `quotas/rate-limit/` + name, Way: AtOnce, Why: "quotas are shared"},
	{Backend: vaultname.System, Pattern: `config/auditing/request-headers/(?P<header>.+)`, Way: AtOnce,
		Why: "audited headers are shared"},
	{Backend: vaultname.System, Pattern: `config/cors`, Way: AtOnce, Why: "settings of the API are shared"},
	{Backend: vaultname.System, Pattern: `config/ui/headers/(?P<header>\w(([\w-.]+)?\w)?)`, Way: AtOnce,
		Why: "settings of the UI are shared"},
	{Backend: vaultname.System, Pattern: `config/group-policy-application`, Way: AtOnce,
		Why: "settings of identity are shared"},
	{Backend: vaultname.System, Pattern: `activation-flags/activation-test/activate`, Way: AtOnce,
		Why: "features are switched on for the set"},
	{Backend: vaultname.System, Pattern: `activation-flags/force-identity-deduplication/activate`, Way: AtOnce,
		Why: "features are switched on for the set"},

	// Shared or local, depending on the request or the mount.
	{Backend: vaultname.System, Pattern: `mounts/(?P<path>.+?)`, Way: IfRefused, Why: "replicated mounts are made by " +
		"the primary, local ones here"},
	{Backend: vaultname.System, Pattern: `mounts/(?P<path>.+?)/tune`, Way: IfRefused, Why: "as the mount is"},
	{Backend: vaultname.System, Pattern: `mounts/auth/(?P<path>.+?)/tune`, Way: IfRefused, Why: "as the mount is"},
	{Backend: vaultname.System, Pattern: `auth/(?P<path>.+)`, Way: IfRefused, Why: "replicated auth methods are enabled " +
		"by the primary, local ones here"},
	{Backend: vaultname.System, Pattern: `auth/(?P<path>.+?)/tune`, Way: IfRefused, Why: "as the mount is"},
	{Backend: vaultname.System, Pattern: `remount`, Way: IfRefused, Why: "as the mount is"},
	{Backend: vaultname.System, Pattern: `remount/status/(?P<migration_id>.+?)`, Way: IfRefused, Reads: true,
		Why: "the cluster that moves the mount knows how far it is"},
	{Backend: vaultname.System, Pattern: `audit/(?P<path>.+)`, Way: HereOrOnPrimary, Why: "names files and addresses to " +
		"which the primary's servers write all their requests"},

	// An operator does these on the primary.
	{Backend: vaultname.System, Pattern: `rotate`, Way: OnPrimary, Why: "turns the keyring of the whole set"},
	{Backend: vaultname.System, Pattern: `rotate/config`, Way: OnPrimary, Why: "turns the keyring of the whole set"},
	{Backend: vaultname.System, Pattern: `rotate/keyring`, Prefix: true, Way: OnPrimary,
		Why: "turns the keyring of the whole set"},
	{Backend: vaultname.System, Pattern: `plugins/catalog/replication`, Prefix: true, Why: "each cluster pins its own " +
		"replication plugins"},
	{Backend: vaultname.System, Pattern: `plugins/catalog`, Prefix: true, Way: OnPrimary,
		Why: "names programs that the primary's servers run"},
	{Backend: vaultname.System, Pattern: `plugins/pins`, Prefix: true, Way: OnPrimary, Why: "chooses programs that the " +
		"primary's servers run"},
	{Backend: vaultname.System, Pattern: `plugins/runtimes/`, Prefix: true, Way: OnPrimary,
		Why: "says how the primary's servers run programs"},

	// Of this cluster: its seal, keys, nodes, storage and roles.
	{Backend: vaultname.System, Pattern: `raw`, Prefix: true, Why: "the storage of this cluster, below all rules"},
	{Backend: vaultname.System, Pattern: `(raw`, Prefix: true, Why: "the storage of this cluster, below all rules"},
	{Backend: vaultname.System, Pattern: `seal`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `unseal`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `seal-status`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `sealwrap/`, Prefix: true, Why: "each cluster has its own seal"},
	{Backend: vaultname.System, Pattern: `seal-backend-status`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `step-down`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `init`, Why: "of this cluster"},
	{Backend: vaultname.System, Pattern: `leader`, Why: "of this cluster"},
	{Backend: vaultname.System, Pattern: `health`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `ha-status`, Why: "of this cluster"},
	{Backend: vaultname.System, Pattern: `key-status`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `rekey`, Prefix: true, Why: "each cluster has its own seal and shares"},
	{Backend: vaultname.System, Pattern: `generate-root`, Prefix: true, Why: "a root token of this cluster"},
	{Backend: vaultname.System, Pattern: `storage/`, Prefix: true, Why: "raft and snapshots of this cluster"},
	{Backend: vaultname.System, Pattern: `replication/`, Prefix: true, Why: "the role of this cluster"},
	{Backend: vaultname.System, Pattern: `config/state/sanitized`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `config/reload/(?P<subsystem>.+)`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `plugins/reload/`, Prefix: true, Why: "processes of this cluster"},

	// Tokens, leases and what depends on them belong to this cluster.
	{Backend: vaultname.System, Pattern: `leases`, Prefix: true, Why: "leases of this cluster"},
	{Backend: vaultname.System, Pattern: `(leases/)?`, Prefix: true, Behind: true, Why: "leases of this cluster; the " +
		"engine behind may forward the rest"},
	{Backend: vaultname.System, Pattern: `wrapping/`, Prefix: true, Why: "wrapping tokens are of one cluster"},
	{Backend: vaultname.System, Pattern: `capabilities`, Prefix: true, Why: "of a token of this cluster"},
	{Backend: vaultname.System, Pattern: `decode-token`, Why: "computes only"},
	{Backend: vaultname.System, Pattern: `mfa/validate`, Why: "ends a login of this cluster"},
	{Backend: vaultname.System, Pattern: `locked-users`, Prefix: true, Why: "failed logins are counted where they happen"},
	{Backend: vaultname.System, Pattern: `control-group/`, Prefix: true, Why: "not in this edition of Vault"},
	{Backend: vaultname.System, Pattern: `config/control-group`, Why: "not in this edition of Vault"},

	// Paths that only observe or compute.
	{Backend: vaultname.System, Pattern: `internal/`, Prefix: true, Why: "observes this cluster; its counters are local"},
	{Backend: vaultname.System, Pattern: `pprof`, Prefix: true, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `monitor`, Why: "a stream of this node"},
	{Backend: vaultname.System, Pattern: `metrics`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `events`, Prefix: true, Why: "a stream of this node"},
	{Backend: vaultname.System, Pattern: `host-info/?`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `in-flight-req`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `loggers`, Prefix: true, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `experiments`, Why: "of this node"},
	{Backend: vaultname.System, Pattern: `version-history/?`, Why: "of this cluster"},
	{Backend: vaultname.System, Pattern: `license/`, Prefix: true, Why: "of the nodes"},
	{Backend: vaultname.System, Pattern: `reporting/`, Prefix: true, Why: "of this cluster"},
	{Backend: vaultname.System, Pattern: `tools/`, Prefix: true, Why: "computes only"},
	{Backend: vaultname.System, Pattern: `audit-hash/(?P<path>.+)`, Why: "computes only"},
	{Backend: vaultname.System, Pattern: `well-known/`, Prefix: true, Why: "read only"},

	// Lists and reads beside the writes above.
	{Backend: vaultname.System, Pattern: `activation-flags`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `audit`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `auth`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `mounts`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `config/auditing/request-headers`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `config/ui/headers/?`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `policy/?`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `policies/acl/?`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `policies/password/?`, Why: "read only"},
	{Backend: vaultname.System, Pattern: `policies/password/(?P<name>.+)/generate`, Why: "computes only"},
	{Backend: vaultname.System, Pattern: `quotas/rate-limit/?`, Why: "read only"},

	// Stubs of Vault Enterprise, which answer for themselves.
	{Backend: vaultname.System, Pattern: `managed-keys/`, Prefix: true, Why: "not in this edition of Vault"},
	{Backend: vaultname.System, Pattern: `mfa/method/`, Prefix: true, Why: "not in this edition of Vault"},
	{Backend: vaultname.System, Pattern: `namespaces/`, Prefix: true, Why: "not in this edition of Vault"},
	{Backend: vaultname.System, Pattern: `policies/egp/`, Prefix: true, Why: "not in this edition of Vault"},
	{Backend: vaultname.System, Pattern: `policies/rgp/`, Prefix: true, Why: "not in this edition of Vault"},
	{Backend: vaultname.System, Pattern: `quotas/lease-count/`, Prefix: true, Why: "not in this edition of Vault"},
}
