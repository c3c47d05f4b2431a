// SPDX-License-Identifier: MPL-2.0

package pinned

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"
)

// A reading is a function of Vault whose behaviour a package of ours repeats, replaces or
// relies on. When its code changes it has to be read again.
type reading struct {
	file, function string
	sum            string // of the function as it was read, without its comments
	ours           string // what depends on it
	why            string
}

// readings are all of them.
var readings = []reading{
	{"vault/token_store.go", "(*TokenStore).handleCreateCommon", "c268762fc9b9", "host/internal/entity/tokencreate.go",
		"its rules for entity_alias decide which entity the primary is asked for before it runs"},
	{"vault/identity_store.go", "(*IdentityStore).Invalidate", "fb7241876440", "host/internal/vaultcore/identity",
		"the refresh replaces it for entities and groups, and calls it for all else"},
	{"http/handler.go", "handler", "52f58e794337", "host/internal/api/gate/allowed.go",
		"it routes paths ahead of the core: one that is new is not served by a DR secondary until the table has it"},
	{"vault/logical_system.go", "NewSystemBackend", "974f169503c3", "host/internal/api/gate/allowed.go",
		"it lists the paths that need no token and those for root"},

	{"vault/core.go", "(standardUnsealStrategy).unseal", "dd6cba745887", "host/internal/follow/keys.go",
		"what it sets up may keep shared storage in memory, which a secondary then has to renew"},
	{"vault/core.go", "(*Core).postUnseal", "b825a2c5b7ec", "host/internal/follow/keys.go, " +
		"host/internal/vaultcore/backends.go",
		"as unseal, and the moment of the hooks of the active duty"},
	{"vault/core.go", "(*Core).preSeal", "738891b60e22", "host/internal/vaultcore/restart.go",
		"what it does not tear down survives a restart in place"},
	{"vault/core.go", "(*Core).sealInternalWithOptions", "3054f806aa4b", "host/internal/vaultcore/restart.go, standby.go",
		"the locks that it expects to be held, and what it does with raft and the HA lock"},
	{"vault/core.go", "(*Core).unsealInternal", "b6a9acd84db9", "host/internal/vaultcore/restart.go",
		"who is active after it, on storage with HA and without"},
	{"vault/ha.go", "(*Core).waitForLeadership", "a6d9909e5b1b", "host/internal/vaultcore/restart.go, standby.go",
		"what a node does when it has won, and with an error of the check of keys"},
	{"vault/ha.go", "(*Core).checkKeyUpgrades", "6eba245b211f", "host/internal/vaultcore/standby.go",
		"the hook of the check runs in it, and must end"},
	{"vault/ha.go", "(*Core).performKeyUpgrades", "074d4f573895", "host/internal/vaultcore/standby.go",
		"a standby follows the keys as this does"},

	{"vault/mount.go", "(*Core).mountInternalWithRequest", "a240a0f6a78b", "host/internal/vaultcore/live",
		"a mount of the primary is made in its steps, without a write"},
	{"vault/mount.go", "(*Core).unmountInternalWithRequest", "71d253347713",
		"host/internal/vaultcore/live, host/internal/follow/tables.go, host/internal/role/taint.go",
		"an unmount is taken up in its order: taint, leases, storage, table"},
	{"vault/mount.go", "(*Core).remountSecretsEngine", "b84e4247de49", "host/internal/follow/tables.go",
		"a move is taken up in its order"},
	{"vault/auth.go", "(*Core).enableCredentialWithRequestInternal", "98dd2fd6444c", "host/internal/vaultcore/live",
		"as mountInternal, for auth methods"},
	{"vault/auth.go", "(*Core).disableCredentialWithRequestInternal", "99f65440e4c9", "host/internal/vaultcore/live",
		"as unmountInternal, for auth methods"},
	{"vault/auth.go", "(*Core).remountCredential", "b8d14a2a310b", "host/internal/follow/tables.go",
		"as remountSecretsEngine, for auth methods"},
	{"vault/mount.go", "(*Core).loadMounts", "24d577b2ced1", "host/internal/vaultcore/barrier.go",
		"which key it reads, and what it writes on a secondary"},
	{"vault/auth.go", "(*Core).loadCredentials", "90066ac2ff80", "host/internal/vaultcore/barrier.go",
		"as loadMounts, for auth methods"},
	{"vault/logical_system.go", "(*SystemBackend).handleTuneWriteCommon", "50508d23f8d1", "host/internal/vaultcore/live",
		"what it changes in an entry, a tune that is followed has to change"},
	{"vault/plugin_reload.go", "(*Core).reloadBackendCommon", "88de00a8130b", "host/internal/vaultcore/live",
		"a secondary reloads in its place"},
	{"vault/plugin_reload.go", "(*Core).reloadMatchingPlugin", "95a61605eb79", "host/internal/vaultcore/live",
		"which mounts a plugin's name means"},
	{"vault/router.go", "(*Router).Mount", "e0074348bc6d", "host/internal/vaultcore/routes",
		"a route is put in and taken out of all the trees that this fills"},
	{"vault/router.go", "(*Router).Unmount", "3cdfdbdff8f6", "host/internal/vaultcore/routes",
		"a route is taken out of all the trees that this clears"},

	{"vault/audit.go", "(*Core).setupAudits", "7f7135fd4cb5", "host/internal/vaultcore/audit_standin.go",
		"when it refuses to unseal for want of audit devices"},
	{"vault/ui.go", "(*UIConfig).Headers", "3e7ac92db965", "host/internal/vaultcore/live",
		"it mends the copy in plain text, which a secondary may not"},
	{"vault/quotas/quotas.go", "(*Manager).Invalidate", "2571a8b74d0e", "host/internal/vaultcore/live",
		"it logs what it cannot read and goes on"},
	{"vault/quotas/quotas.go", "(*Manager).HandleRemount", "7b14e58fbd3b", "host/internal/vaultcore/movedquotas.go",
		"it stores the quota of before while the move is in progress"},
	{"vault/policy_store.go", "(*PolicyStore).invalidate", "ad299929dcfd", "host/internal/vaultcore/live, tokens.go",
		"it forgets a policy, to be read again"},
	{"vault/expiration.go", "(*revocationJob).OnFailure", "41653d719214", "host/internal/vaultcore/live",
		"when it gives a lease up, and what it notes as the reason"},
	{"vault/expiration.go", "(*ExpirationManager).revokeCommon", "badb025b2078", "host/internal/vaultcore/live",
		"what is left of a lease that could not be revoked"},
	{"vault/request_handling.go", "(*Core).CheckToken", "f2ef34f8b4fa", "host/internal/vaultcore/tokens.go, mayread.go",
		"its checks of a token are repeated where a DR secondary has no entities"},
	{"vault/request_handling.go", "(*Core).fetchACLTokenEntryAndEntity", "f8a14dbe0cd1",
		"host/internal/vaultcore/tokens.go, mayread.go",
		"as CheckToken"},
	{"vault/init.go", "(*Core).Initialize", "be38e5c61ac3", "host/internal/handover/adopt.go, collect.go",
		"what it makes, a cluster that joins gets from its primary"},
}

// What Vault does in these functions is repeated or relied on elsewhere in the host. Of
// one that has changed, read it again, mend what depends on it, and write its sum down.
func TestWhatWasReadIsUnchanged(t *testing.T) {
	t.Parallel()
	module := moduleDir(t, vaultModule)
	packages := map[string]map[string]function{}
	for _, r := range readings {
		dir := filepath.Dir(r.file)
		if packages[dir] == nil {
			packages[dir] = functionsOf(t, filepath.Join(module, dir))
		}
		f := packages[dir][r.function]
		if now := f.sum(); now != r.sum {
			t.Errorf("%s: %s has the sum %q, not %q. %s depends on it: %s", r.file, r.function, now, r.sum, r.ours, r.why)
		}
	}
}

// A copied struct is one whose fields are copied, cleared or compared by hand.
type copied struct {
	of     reflect.Type
	fields string
	ours   string
	why    string
}

// structs are all of them, with their fields.
var structs = []copied{
	{reflect.TypeFor[vault.MountEntry](), `
		Accessor BackendAwareUUID Config Description ExternalEntropyAccess Local MountState NamespaceID Options Path
		RunningSha256 RunningVersion SealWrap Table Tainted Type UUID Version namespace synthesizedConfigCache`,
		"host/internal/mounttable, host/internal/vaultcore/live", "a tune copies some fields, a comparison leaves some out"},
	{reflect.TypeFor[vault.MountTable](), "Entries Type",
		"host/internal/vaultcore/live", "a table is swapped for a copy"},
	{routerType, `
		binaryPaths l logger mountAccessorCache mountUUIDCache rollbackMetricsMountName root storagePrefix
		tokenStoreSaltFunc`,
		"host/internal/vaultcore/routes", "a route is put into all trees, and taken out of them"},
	{routeEntryType, `
		allowSnapshotReadPaths backend binaryPaths l limitedPaths loginPaths mountEntry rootPaths storagePrefix
		storageView tainted`,
		"host/internal/vaultcore/routes", "the backend of a route is replaced, and its storage admitted to writes"},
	{reflect.TypeFor[vault.CORSConfig](), "AllowedHeaders AllowedOrigins Enabled RWMutex core",
		"host/internal/vaultcore/live", "the running configuration is changed in place"},
	{identityType, `
		Backend activateDeduplicationDone activationErrorHandler aliasLocks conflictResolver db disableLowerCasedNames
		entityCreator entityPacker generateJWKSLock groupLock groupPacker groupUpdater localAliasPacker localNode lock
		logger metrics mfaBackend mountLister namespacer oidcAuthCodeCache oidcCache oidcLock redirectAddr
		renameDuplicates router tokenStorer totpPersister view`,
		"host/internal/vaultcore/identity", "what it keeps in memory, a secondary has to renew"},
	{reflect.TypeFor[identity.Alias](), `
		CanonicalID CreationTime CustomMetadata ID LastUpdateTime Local LocalBucketKey MergedFromCanonicalIDs Metadata
		MountAccessor MountPath MountType Name NamespaceID sizeCache state unknownFields`,
		"host/internal/vaultcore/identity", "the alias of an entity that was merged is moved"},
	{reflect.TypeFor[identity.LocalAliases](), "Aliases sizeCache state unknownFields",
		"host/internal/vaultcore/identity", "they are merged"},
	{reflect.TypeFor[logical.TokenEntry](), `
		Accessor BoundCIDRs CreationTime CreationTimeDeprecated CubbyholeID DisplayName DisplayNameDeprecated EntityID
		ExplicitMaxTTL ExplicitMaxTTLDeprecated ExternalID ID InlinePolicy InternalMeta Meta NamespaceID
		NoIdentityPolicies NumUses NumUsesDeprecated Parent Path Period Policies Role TTL Type`,
		"host/internal/vaultcore/tokens.go", "what limits the use of a token has to limit a batch token of a DR secondary"},
	{reflect.TypeFor[vault.SealConfig](), `
		Backup Created Name Nonce PGPKeys RekeyProgress SecretShares SecretThreshold StoredShares Type VerificationKey
		VerificationNonce VerificationProgress VerificationRequired`,
		"host/internal/handover", "a cluster that joins gets one made from two"},
	{coreType, `
		FeatureActivationFlags IndexHeaderHMACKey PR1103disabled WellKnownRedirects activeContext
		activeContextCancelFunc activeNodeClockSkewMillis activeNodeReplicationState activeTime activityLog
		activityLogConfig activityLogLock allLoggers allLoggersLock allowAuditLogPrefixing audit auditBackends
		auditBroker auditLock auditedHeaders auth authLock autoRotateCancel barrier barrierRekeyConfig baseLogger
		builtinRegistry cachingDisabled censusManager clusterAddr clusterAddrBridge clusterCipherSuites clusterHandler
		clusterHeartbeatInterval clusterID clusterLeaderParams clusterListener clusterListenerAddrs clusterName
		clusterNetworkLayer clusterParamsLock clusterPeerClusterAddrsCache containerPluginTmpdir coreNumber corsConfig
		credentialBackends cubbyholeBackend customListenerHeader customMessageManager defaultLeaseTTL detectDeadlocks
		devToken disableAutopilot disablePerfStandby disableSSCTokens echoDuration effectiveSDKVersion enableMlock
		enableResponseHeaderHostname enableResponseHeaderRaftNodeID entCore events experiments expiration
		expirationRevokeRetryBase generateRootConfig generateRootLock generateRootProgress ha hcpLinkStatus heldHALock
		identityStore impreciseLeaseRoleTracking inFlightReqData introspectionEnabled introspectionEnabledLock
		keepHALockOnStepDown keyRotateGracePeriod leaderParamsLock leaderUUID licenseReloadCh licensingStopCh
		localClusterCert localClusterParsedCert localClusterPrivateKey logLevel logRequestsLevel logger
		logicalBackends loginMFABackend manualStepDownCh maxLeaseTTL metricSink metricsCh metricsHelper metricsMutex
		mfaResponseAuthQueue mfaResponseAuthQueueLock migrationInfo mountMigrationTracker mounts mountsLock
		neverBecomeActive numExpirationWorkers numRollbackWorkers observations pendingRaftPeers pendingRaftPeersLock
		pendingRemovalMountsAllowed perfStandby periodicLeaderRefreshInterval physical physicalCache pluginCatalog
		pluginDirectory pluginFilePermissions pluginFileUid pluginRuntimeCatalog policyStore postRecoveryUnsealFuncs
		postUnsealFuncs postUnsealStarted quotaManager raftFollowerStates raftInfo raftJoinDoneCh
		raftTLSRotationStopCh rawConfig rawEnabled recoveryMode recoveryRekeyConfig redirectAddr rekeyLock reloadFuncs
		reloadFuncsLock removeIrrevocableLeaseAfter replicationFailure replicationState reportingScanDirectory
		requestForwardingConnectionLock requestResponseCallback rollback rollbackMountPathMetrics rollbackPeriod
		rotationManager router rpcClientConn rpcClientConnCancelFunc rpcClientConnContext rpcForwardingClient
		rpcLastSuccessfulHeartbeat seal sealMigrationDone sealReloadFunc sealUnwrapper sealed secureRandomReader
		sentinelTraceDisabled serviceRegistration shutdownDoneCh standby standbyDoneCh standbyStopCh stateLock
		storageType systemBackend systemBarrierView tokenStore uiConfig underlyingPhysical unlockInfo
		unsealWithStoredKeysLock updateLockedUserEntriesCancel userFailedLoginInfo userFailedLoginInfoLock
		versionHistory wrappingJWTKey writeForwardedPaths`,
		"host/internal/follow/keys.go, host/internal/vaultcore/restart.go",
		"a secondary renews what it keeps, a restart in place the rest"},
}

// A field that is new has to be decided on where the struct is taken apart.
func TestStructsHaveTheFieldsThatWereRead(t *testing.T) {
	t.Parallel()
	for _, c := range structs {
		have := fieldsOf(c.of)
		want := strings.Fields(c.fields)
		slices.Sort(want)
		require.Equal(t, want, have, "the fields of %s have changed. %s depends on them: %s", c.of, c.ours, c.why)
	}
}

func fieldsOf(of reflect.Type) (names []string) {
	for i := range of.NumField() {
		names = append(names, of.Field(i).Name)
	}
	slices.Sort(names)
	return names
}
