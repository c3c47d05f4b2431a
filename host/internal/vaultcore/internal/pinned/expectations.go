// SPDX-License-Identifier: MPL-2.0

package pinned

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/armon/go-radix"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/cluster"
	"github.com/hashicorp/vault/vault/quotas"
)

// expectation names one unexported field and the type it must have.
type expectation struct {
	owner reflect.Type
	field string
	typ   string
}

var (
	coreType       = reflect.TypeFor[vault.Core]()
	barrierType    = reflect.TypeFor[vault.AESGCMBarrier]()
	listenerType   = reflect.TypeFor[cluster.Listener]()
	raftType       = reflect.TypeFor[raft.RaftBackend]()
	routerType     = reflect.TypeFor[vault.Router]()
	mountEntryType = reflect.TypeFor[vault.MountEntry]()
	leasesType     = reflect.TypeFor[vault.ExpirationManager]()
	uiConfigType   = reflect.TypeFor[vault.UIConfig]()
	quotasType     = reflect.TypeFor[quotas.Manager]()
	identityType   = reflect.TypeFor[vault.IdentityStore]()
	fileType       = reflect.TypeFor[file.FileBackend]()
	unwrapperType  = reflect.TypeOf(vault.NewSealUnwrapper(nil, nil)).Elem()
	routeEntryType = probeRouteEntry()
)

// expectations are all fields that the packages of vaultcore read or write.
var expectations = []expectation{
	{coreType, "barrier", "vault.SecurityBarrier"},
	{coreType, "physical", "physical.Backend"},
	{coreType, "underlyingPhysical", "physical.Backend"},
	{coreType, "sealUnwrapper", "physical.Backend"},
	{coreType, "seal", "vault.Seal"},
	{coreType, "ha", "physical.HABackend"},
	{coreType, "heldHALock", "physical.Lock"},
	{coreType, "replicationState", "*uint32"},
	{coreType, "activeNodeReplicationState", "*uint32"},
	{coreType, "stateLock", "locking.RWMutex"},
	{coreType, "activeContext", "context.Context"},
	{coreType, "activeContextCancelFunc", "*atomic.Value"},
	{coreType, "logicalBackends", "map[string]logical.Factory"},
	{coreType, "credentialBackends", "map[string]logical.Factory"},
	{coreType, "postUnsealFuncs", "[]func()"},
	{coreType, "clusterListener", "*atomic.Value"},
	{coreType, "clusterNetworkLayer", "cluster.NetworkLayer"},
	{coreType, "clusterListenerAddrs", "[]*net.TCPAddr"},
	{coreType, "tokenStore", "*vault.TokenStore"},
	{coreType, "redirectAddr", "string"},
	{coreType, "policyStore", "*vault.PolicyStore"},
	{coreType, "router", "*vault.Router"},
	{coreType, "auditBroker", "*audit.Broker"},
	{coreType, "standby", "bool"},
	{coreType, "inFlightReqData", "*vault.InFlightRequests"},
	{coreType, "mounts", "*vault.MountTable"},
	{coreType, "mountsLock", "locking.RWMutex"},
	{coreType, "auth", "*vault.MountTable"},
	{coreType, "authLock", "locking.RWMutex"},
	{coreType, "audit", "*vault.MountTable"},
	{coreType, "auditLock", "sync.RWMutex"},
	{coreType, "auditBackends", "map[string]audit.Factory"},
	{coreType, "auditedHeaders", "*audit.HeadersConfig"},
	{coreType, "expiration", "*vault.ExpirationManager"},
	{coreType, "quotaManager", "*quotas.Manager"},
	{coreType, "mountMigrationTracker", "*sync.Map"},
	{coreType, "loginMFABackend", "*vault.LoginMFABackend"},
	{coreType, "uiConfig", "*vault.UIConfig"},
	{coreType, "pluginCatalog", "*plugincatalog.PluginCatalog"},

	{listenerType, "shutdownWg", "*sync.WaitGroup"},

	{barrierType, "backend", "physical.Backend"},

	{unwrapperType, "underlying", "physical.Backend"},
	{fileType, "path", "string"},

	{raftType, "dataDir", "string"},
	{raftType, "maxEntrySize", "uint64"},

	{routerType, "l", "sync.RWMutex"},
	{routerType, "root", "*radix.Tree"},
	{routerType, "storagePrefix", "*radix.Tree"},
	{routerType, "mountUUIDCache", "*radix.Tree"},
	{routerType, "mountAccessorCache", "*radix.Tree"},

	{mountEntryType, "namespace", "*namespace.Namespace"},

	{routeEntryType, "l", "sync.RWMutex"},
	{routeEntryType, "backend", "logical.Backend"},
	{routeEntryType, "mountEntry", "*vault.MountEntry"},
	{routeEntryType, "storagePrefix", "string"},
	{routeEntryType, "storageView", "logical.Storage"},

	{uiConfigType, "physicalStorage", "physical.Backend"},

	{quotasType, "storage", "logical.Storage"},

	{leasesType, "irrevocable", "sync.Map"},

	{identityType, "db", "*memdb.MemDB"},
	{identityType, "lock", "sync.RWMutex"},
	{identityType, "groupLock", "sync.RWMutex"},
	{identityType, "entityPacker", "*storagepacker.StoragePacker"},
	{identityType, "localAliasPacker", "*storagepacker.StoragePacker"},
	{identityType, "groupPacker", "*storagepacker.StoragePacker"},
	{identityType, "groupUpdater", "vault.GroupUpdater"},
	{identityType, "entityCreator", "vault.EntityCreator"},
}

// Check compares the expectations with the types that are linked in.
func Check() error { return check(expectations) }

func check(want []expectation) error {
	var wrong []string
	for _, e := range want {
		f, ok := e.owner.FieldByName(e.field)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s has no field %q", e.owner, e.field))
		case f.Type.String() != e.typ:
			wrong = append(wrong, fmt.Sprintf("%s.%s is a %s, not a %s", e.owner, e.field, f.Type, e.typ))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("this build of Vault is not the one that replication was made for (%s): use the version of Vault "+
		"that this release names", strings.Join(wrong, "; "))
}

// probeRouteEntry finds the type of the router's entries, which Vault does not
// export and no exported type names, by mounting nothing in a router of its own.
// When that is not possible the type is one that the expectations refuse.
func probeRouteEntry() (found reflect.Type) {
	defer func() {
		if recover() != nil {
			found = reflect.TypeOf(struct{}{})
		}
	}()
	const path = "probe/"
	entry := &vault.MountEntry{UUID: "probe", Accessor: "probe"}
	*Field[*namespace.Namespace](entry, "namespace") = namespace.RootNamespace
	router := vault.NewRouter()
	if err := router.Mount(nil, path, entry, vault.NewBarrierView(nil, path)); err != nil {
		panic(err)
	}
	raw, _ := (*Field[*radix.Tree](router, "root")).Get(path)
	return reflect.TypeOf(raw).Elem()
}
