// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	_ "unsafe" // for go:linkname

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
)

// The methods of the identity store that are reached by name.

//go:linkname refreshExternalGroups github.com/hashicorp/vault/vault.(*IdentityStore).refreshExternalGroupMembershipsByEntityID
func refreshExternalGroups(s *vault.IdentityStore, ctx context.Context, entityID string, groups []*logical.Alias, accessor string) ([]*logical.Alias, error)

//go:linkname processLocalAlias github.com/hashicorp/vault/vault.(*IdentityStore).processLocalAlias
func processLocalAlias(s *vault.IdentityStore, ctx context.Context, alias *logical.Alias, entity *identity.Entity, updateDB bool) (*identity.Alias, error)

//go:linkname parseEntity github.com/hashicorp/vault/vault.(*IdentityStore).parseEntityFromBucketItem
func parseEntity(s *vault.IdentityStore, ctx context.Context, item *storagepacker.Item) (*identity.Entity, error)

//go:linkname parseGroup github.com/hashicorp/vault/vault.(*IdentityStore).parseGroupFromBucketItem
func parseGroup(s *vault.IdentityStore, item *storagepacker.Item) (*identity.Group, error)

//go:linkname cacheTemporaryEntity github.com/hashicorp/vault/vault.(*IdentityStore).cacheTemporaryEntity
func cacheTemporaryEntity(s *vault.IdentityStore, ctx context.Context, entity *identity.Entity) error
