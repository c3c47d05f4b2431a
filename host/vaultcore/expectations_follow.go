// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"reflect"

	"github.com/hashicorp/vault/vault"
)

var uiConfigType = reflect.TypeOf(vault.UIConfig{})

// followExpectations are the fields behind the seams of live changes.
var followExpectations = []expectation{
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
	{coreType, "loginMFABackend", "*vault.LoginMFABackend"},
	{coreType, "uiConfig", "*vault.UIConfig"},
	{uiConfigType, "physicalStorage", "physical.Backend"},
	{routerType, "storagePrefix", "*radix.Tree"},
	{routerType, "mountUUIDCache", "*radix.Tree"},
	{routerType, "mountAccessorCache", "*radix.Tree"},
}
