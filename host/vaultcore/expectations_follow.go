// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"reflect"

	"github.com/hashicorp/vault/vault"
)

var (
	routerType     = reflect.TypeOf(vault.Router{})
	mountEntryType = reflect.TypeOf(vault.MountEntry{})
	uiConfigType   = reflect.TypeOf(vault.UIConfig{})
)

// followExpectations are the fields behind the seams of live changes.
var followExpectations = []expectation{
	{coreType, "router", "*vault.Router"},
	{coreType, "mounts", "*vault.MountTable"},
	{coreType, "mountsLock", "locking.RWMutex"},
	{coreType, "auth", "*vault.MountTable"},
	{coreType, "authLock", "locking.RWMutex"},
	{coreType, "audit", "*vault.MountTable"},
	{coreType, "auditLock", "sync.RWMutex"},
	{coreType, "auditBroker", "*audit.Broker"},
	{coreType, "auditBackends", "map[string]audit.Factory"},
	{coreType, "auditedHeaders", "*audit.HeadersConfig"},
	{coreType, "expiration", "*vault.ExpirationManager"},
	{coreType, "quotaManager", "*quotas.Manager"},
	{coreType, "loginMFABackend", "*vault.LoginMFABackend"},
	{coreType, "pluginCatalog", "*plugincatalog.PluginCatalog"},
	{coreType, "uiConfig", "*vault.UIConfig"},
	{uiConfigType, "physicalStorage", "physical.Backend"},
	{mountEntryType, "namespace", "*namespace.Namespace"},
	{routerType, "l", "sync.RWMutex"},
	{routerType, "root", "*radix.Tree"},
	{routerType, "storagePrefix", "*radix.Tree"},
	{routerType, "mountUUIDCache", "*radix.Tree"},
	{routerType, "mountAccessorCache", "*radix.Tree"},
	{routeEntryType(), "l", "sync.RWMutex"},
	{routeEntryType(), "backend", "logical.Backend"},
}
