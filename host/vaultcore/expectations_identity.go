// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"reflect"

	"github.com/hashicorp/vault/vault"
)

var identityType = reflect.TypeOf(vault.IdentityStore{})

// identityExpectations are the fields behind the seams of identity.
var identityExpectations = []expectation{
	{coreType, "router", "*vault.Router"},
	{identityType, "db", "*memdb.MemDB"},
	{identityType, "lock", "sync.RWMutex"},
	{identityType, "groupLock", "sync.RWMutex"},
	{identityType, "entityPacker", "*storagepacker.StoragePacker"},
	{identityType, "localAliasPacker", "*storagepacker.StoragePacker"},
	{identityType, "groupPacker", "*storagepacker.StoragePacker"},
	{identityType, "groupUpdater", "vault.GroupUpdater"},
	{identityType, "entityCreator", "vault.EntityCreator"},
}
