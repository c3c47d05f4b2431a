// SPDX-License-Identifier: MPL-2.0

package routing

import "github.com/vault-replication/vault-replication/host/vaultname"

const (
	name   = `(?P<name>\w(([\w-.]+)?\w)?)`
	idRe   = `(?P<id>\w(([\w-.]+)?\w)?)`
	method = `(?P<method_id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`
)

// systemPaths are those of sys/.
var systemPaths = of(vaultname.System,
	// Shared on every cluster.
	paths(CorePath{Way: AtOnce, Why: "policies are shared"}, `policy/(?P<name>.+)`, `policies/acl/(?P<name>.+)`),
	paths(CorePath{Way: AtOnce, Why: "password policies are shared"}, `policies/password/(?P<name>.+)`),
	paths(CorePath{Way: AtOnce, Why: "quotas are shared"}, `quotas/config`, `quotas/rate-limit/`+name),
	paths(CorePath{Way: AtOnce, Why: "audited headers are shared"}, `config/auditing/request-headers/(?P<header>.+)`),
	paths(CorePath{Way: AtOnce, Why: "settings of the API are shared"}, `config/cors`),
	paths(CorePath{Way: AtOnce, Why: "settings of the UI are shared"},
		`config/ui/headers/(?P<header>\w(([\w-.]+)?\w)?)`),
	paths(CorePath{Way: AtOnce, Why: "settings of identity are shared"}, `config/group-policy-application`),
	paths(CorePath{Way: AtOnce, Why: "features are switched on for the set"},
		`activation-flags/activation-test/activate`, `activation-flags/force-identity-deduplication/activate`),

	// Shared or local, depending on the request or the mount.
	paths(CorePath{Way: IfRefused, Why: "replicated mounts are made by the primary, local ones here"},
		`mounts/(?P<path>.+?)`),
	paths(CorePath{Way: IfRefused, Why: "as the mount is"},
		`mounts/(?P<path>.+?)/tune`, `mounts/auth/(?P<path>.+?)/tune`, `auth/(?P<path>.+?)/tune`, `remount`),
	paths(CorePath{Way: IfRefused, Why: "replicated auth methods are enabled by the primary, local ones here"},
		`auth/(?P<path>.+)`),
	paths(CorePath{Way: IfRefused, Reads: true, Why: "the cluster that moves the mount knows how far it is"},
		`remount/status/(?P<migration_id>.+?)`),
	paths(CorePath{Way: HereOrOnPrimary, Why: "names files and addresses to which the primary's servers write " +
		"all their requests"},
		`audit/(?P<path>.+)`),

	// An operator does these on the primary.
	paths(CorePath{Way: OnPrimary, Why: "turns the keyring of the whole set"}, `rotate`, `rotate/config`),
	paths(CorePath{Prefix: true, Way: OnPrimary, Why: "turns the keyring of the whole set"}, `rotate/keyring`),
	paths(CorePath{Prefix: true, Why: "each cluster pins its own replication plugins"}, `plugins/catalog/replication`),
	paths(CorePath{Prefix: true, Way: OnPrimary, Why: "names programs that the primary's servers run"},
		`plugins/catalog`),
	paths(CorePath{Prefix: true, Way: OnPrimary, Why: "chooses programs that the primary's servers run"},
		`plugins/pins`),
	paths(CorePath{Prefix: true, Way: OnPrimary, Why: "says how the primary's servers run programs"},
		`plugins/runtimes/`),

	// Of this cluster: its seal, keys, nodes, storage and roles.
	paths(CorePath{Prefix: true, Why: "the storage of this cluster, below all rules"}, `raw`, `(raw`),
	paths(CorePath{Why: "of this node"},
		`seal`, `unseal`, `seal-status`, `seal-backend-status`, `step-down`, `health`, `config/state/sanitized`,
		`config/reload/(?P<subsystem>.+)`),
	paths(CorePath{Prefix: true, Why: "each cluster has its own seal"}, `sealwrap/`),
	paths(CorePath{Why: "of this cluster"}, `init`, `leader`, `ha-status`),
	paths(CorePath{Why: "read only"}, `key-status`),
	paths(CorePath{Prefix: true, Why: "each cluster has its own seal and shares"}, `rekey`),
	paths(CorePath{Prefix: true, Why: "a root token of this cluster"}, `generate-root`),
	paths(CorePath{Prefix: true, Why: "raft and snapshots of this cluster"}, `storage/`),
	paths(CorePath{Prefix: true, Why: "the role of this cluster"}, `replication/`),
	paths(CorePath{Prefix: true, Why: "processes of this cluster"}, `plugins/reload/`),

	// Tokens, leases and what depends on them belong to this cluster.
	paths(CorePath{Prefix: true, Why: "leases of this cluster"}, `leases`),
	paths(CorePath{Prefix: true, Behind: true, Why: "leases of this cluster; the engine behind may forward the rest"},
		`(leases/)?`),
	paths(CorePath{Prefix: true, Why: "wrapping tokens are of one cluster"}, `wrapping/`),
	paths(CorePath{Prefix: true, Why: "of a token of this cluster"}, `capabilities`),
	paths(CorePath{Why: "computes only"}, `decode-token`),
	paths(CorePath{Why: "ends a login of this cluster"}, `mfa/validate`),
	paths(CorePath{Prefix: true, Why: "failed logins are counted where they happen"}, `locked-users`),
	paths(CorePath{Prefix: true, Why: "not in this edition of Vault"}, `control-group/`),
	paths(CorePath{Why: "not in this edition of Vault"}, `config/control-group`),

	// Paths that only observe or compute.
	paths(CorePath{Prefix: true, Why: "observes this cluster; its counters are local"}, `internal/`),
	paths(CorePath{Prefix: true, Why: "of this node"}, `pprof`, `loggers`),
	paths(CorePath{Why: "a stream of this node"}, `monitor`),
	paths(CorePath{Why: "of this node"}, `metrics`, `host-info/?`, `in-flight-req`, `experiments`),
	paths(CorePath{Prefix: true, Why: "a stream of this node"}, `events`),
	paths(CorePath{Why: "of this cluster"}, `version-history/?`),
	paths(CorePath{Prefix: true, Why: "of the nodes"}, `license/`),
	paths(CorePath{Prefix: true, Why: "of this cluster"}, `reporting/`),
	paths(CorePath{Prefix: true, Why: "computes only"}, `tools/`),
	paths(CorePath{Why: "computes only"}, `audit-hash/(?P<path>.+)`),
	paths(CorePath{Prefix: true, Why: "read only"}, `well-known/`),

	// Lists and reads beside the writes above.
	paths(CorePath{Why: "read only"},
		`activation-flags`, `audit`, `auth`, `mounts`, `config/auditing/request-headers`, `config/ui/headers/?`,
		`policy/?`, `policies/acl/?`, `policies/password/?`, `quotas/rate-limit/?`),
	paths(CorePath{Why: "computes only"}, `policies/password/(?P<name>.+)/generate`),

	// Stubs of Vault Enterprise, which answer for themselves.
	paths(CorePath{Prefix: true, Why: "not in this edition of Vault"},
		`managed-keys/`, `mfa/method/`, `namespaces/`, `policies/egp/`, `policies/rgp/`, `quotas/lease-count/`),
)
