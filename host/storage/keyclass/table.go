// SPDX-License-Identifier: MPL-2.0

package keyclass

import "github.com/vault-replication/vault-replication/host/vaultname"

// Row classifies one key, or all keys below a prefix.
type Row struct {
	Key string
	// Prefix makes the row apply to every key that begins with Key.
	Prefix bool
	Class  Class
	Why    string
}

// Rows is the table: the longest prefix wins, an exact row wins over prefixes.
// The keys are those that the core of the linked Vault writes (package vault, its
// constants and barrier views) and the ones of the replication host.
var Rows = []Row{
	// All clusters of a set have one keyring.
	{vaultname.Keyring, false, Shared, "data of all clusters is encrypted with one keyring"},
	{vaultname.RootKey, false, Shared, "root key under the keyring, for standbys to follow a rekey"},
	{vaultname.ShamirKey, false, Own, "seal material: what the shares of this cluster's own Shamir seal combine to"},
	{"core/upgrade/", true, Shared, "new terms of the keyring under the old one"},
	{"core/canary-keyring", false, Shared, "marks that a rotation is complete in the replicated data"},

	// Tables and settings of the core.
	{vaultname.Mounts, false, Shared, "table of replicated mounts"},
	{vaultname.Auth, false, Shared, "table of replicated auth mounts, the token store among them"},
	{vaultname.Audit, false, Shared, "table of replicated audit devices"},
	{vaultname.LocalMounts, false, Local, "table of local mounts, cubbyhole among them"},
	{vaultname.LocalAuth, false, Local, "table of local auth mounts"},
	{vaultname.LocalAudit, false, Local, "table of local audit devices"},
	{"core/group-policy-application-mode", false, Shared, "setting of the identity store of Vault Enterprise"},
	{"core/cluster/feature-flags", false, Shared, "flags of the whole set, among rows of one cluster"},
	{vaultname.IndexHeaderKey, false, Shared, "consistency headers are checked on every cluster of the set"},
	{vaultname.PluginCatalog, true, Shared, "registered plugins and their pinned versions"},
	{"core/plugin-runtime-catalog/", true, Shared, "registered plugin runtimes"},
	{"core/wrapping/", true, Local, "wrapping tokens are of one cluster, and so is the key that signs them"},
	{"core/login/lockedUsers/", true, Local, "failed logins are counted where they happen"},
	{"core/sscGenCounter/", true, Local, "generation of the tokens of one cluster, by Vault Enterprise"},

	// Keys of one cluster: its nodes, locks, versions.
	{"core/lock", false, Own, "lock of the leader"},
	{"core/migration", false, Own, "lock of a migration of this cluster's storage"},
	{vaultname.Leader, true, Own, "address and certificate of the leader"},
	{"core/raft", true, Own, "TLS keys, autopilot and other state of the raft cluster"},
	{"core/cluster/", true, Own, "name and id of the cluster"},
	{vaultname.Versions, true, Own, "versions that this cluster has run; clusters are upgraded one by one"},
	{"core/poison-pill", false, Own, "tells standbys of this cluster to seal, by Vault Enterprise"},
	{"core/poison-pill-dr", false, Own, "tells standbys of this cluster to seal, by Vault Enterprise"},
	{"core/dr-operation-token", false, Own, "token for operations on this cluster's role"},
	{"core/autoloaded-license", false, Own, "license of the nodes of Vault Enterprise"},

	// Seal material: each cluster has its own seal.
	{vaultname.SealConfig, false, Own, "configuration of this cluster's seal"},
	{vaultname.RecoverySealConfig, false, Own, "recovery configuration, old place"},
	{vaultname.RecoveryConfig, false, Own, "recovery configuration of this cluster's seal"},
	{vaultname.RecoveryKey, false, Own, "recovery key under this cluster's seal"},
	{vaultname.HSM, true, Own, "stored unseal keys under this cluster's seal"},
	{"core/unseal-keys-backup", false, Own, "backup of a rekey, for this cluster's operators"},
	{"core/recovery-keys-backup", false, Own, "backup of a rekey, for this cluster's operators"},
	{"core/seal-gen-info", false, Own, "generation of this cluster's seal configuration"},
	{"core/seal-initialization-flag", false, Own, "this cluster's initialisation"},
	{"barrier/init", false, Own, "mark of initialisation of very old versions"},

	// The system mount.
	{vaultname.Policies, true, Shared, "ACL policies"},
	{"sys/policy-rgp/", true, Shared, "role governing policies of Vault Enterprise"},
	{"sys/policy-egp/", true, Shared, "endpoint governing policies of Vault Enterprise"},
	{"sys/password_policy/", true, Shared, "password policies"},
	{vaultname.Quotas, true, Shared, "quotas and their configuration"},
	{"sys/config/", true, Shared, "CORS and other settings of the API"},
	{"sys/ui", true, Shared, "settings and messages of the UI; the core's view of it has no slash"},
	{"sys/uiconfig_plaintext", false, Own, "copy of sys/uiconfig to read while sealed; each core makes it by itself, " +
		"below the journal"},
	{vaultname.AuditedHeaders, true, Shared, "headers to audit"},
	{vaultname.Activation, true, Shared, "features that were switched on for the set"},
	{"sys/mfa/", true, Shared, "TOTP keys of login MFA"},
	{vaultname.LoginMFA, true, Shared, "login MFA methods and enforcements"},
	{"sys/managed-key-registry/", true, Shared, "managed keys of Vault Enterprise"},
	{"sys/token/roles/", true, Shared, "token roles, the one replicated part of the token store"},
	{"sys/token/", true, Local, "tokens are of one cluster"},
	{"sys/expire/", true, Local, "leases are of one cluster"},
	{"sys/counters/", true, Local, "activity is counted where it happens"},
	{"sys/rotation-local/", true, Local, "credentials of local mounts that Vault Enterprise rotates"},
	{"utilization", true, Local, "census of one cluster"},

	// Views of mounts. The mount tables and the backends say which of these keys are local: see Mounts.
	{vaultname.EngineViews, true, Shared, "views of secrets engines"},
	{vaultname.AuthViews, true, Shared, "views of auth methods"},
	{vaultname.AuditViews, true, Shared, "views of audit devices"},

	// Keys of the replication host.
	{vaultname.Replication, true, Own, "records of this cluster's roles, behind the barrier"},
	{DeclaredKey, false, Shared, "what backends declare as local storage: all clusters of a set classify by what the " +
		"primary knows"},
	{vaultname.ReplicationFilters, true, Shared, "paths filters of performance secondaries: each reads its own"},
	{"core/replication-shares", false, Shared, "which key shares open the primary, as a mark: a secondary that has " +
		"others asks for them"},
	{"core/replication/performance/", true, Local, "what a DR secondary that takes over needs to go on as the " +
		"performance primary or secondary that this cluster is"},
	{"replication/", true, Own, "cursor, journal head and slots"},
	{"replication/performance/cursor", false, Local, "a DR secondary that takes over goes on where this performance " +
		"secondary was"},
	{"replication/performance/missing", false, Local, "and lacks what this one lacked"},
	{"replication/former/performance/", true, Local, "and has the writes of its own that this former primary has"},
	{"wal/logs/", true, Own, "journal rows"},
	{"index/pages/", true, Own, "index of the performance content"},
	{"index-dr/pages/", true, Own, "index of the DR content"},
}

// Absorbed are prefixes whose deletion by a secondary's own core is dropped without an error. Each core cleans these up
// by itself, and the primary's deletion arrives through replication.
var Absorbed = []string{"core/upgrade/"}
