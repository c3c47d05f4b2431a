// SPDX-License-Identifier: MPL-2.0

package pinned

import (
	"context"
	_ "unsafe" // for go:linkname

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/identity/mfa"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
)

// The functions of Vault that are reached by name. The linker finds one that is missing,
// a test one whose parameters differ. The empty file linkname.s beside this one lets the
// compiler accept declarations without a body.

// SealInternalWithOptions seals a core, under its state lock or under one that the caller holds.
//
//go:linkname SealInternalWithOptions github.com/hashicorp/vault/vault.(*Core).sealInternalWithOptions
func SealInternalWithOptions(c *vault.Core, grabStateLock, keepHALock, performCleanup bool) error

// UnsealInternal unseals a core with its root key. The caller holds the state lock.
//
//go:linkname UnsealInternal github.com/hashicorp/vault/vault.(*Core).unsealInternal
func UnsealInternal(c *vault.Core, ctx context.Context, rootKey []byte) error

// UnsealKeyToRootKeyPostUnseal returns the root key that the combined shares open, of a core that is unsealed.
//
//go:linkname UnsealKeyToRootKeyPostUnseal github.com/hashicorp/vault/vault.(*Core).unsealKeyToRootKeyPostUnseal
func UnsealKeyToRootKeyPostUnseal(c *vault.Core, ctx context.Context, combinedKey []byte) ([]byte, error)

// InvalidatePolicy has a policy read anew.
//
//go:linkname InvalidatePolicy github.com/hashicorp/vault/vault.(*PolicyStore).invalidate
func InvalidatePolicy(ps *vault.PolicyStore, ctx context.Context, name string, policyType vault.PolicyType)

// Of live changes.

// NewLogicalBackend builds the engine of a mount.
//
//go:linkname NewLogicalBackend github.com/hashicorp/vault/vault.(*Core).newLogicalBackend
func NewLogicalBackend(c *vault.Core, ctx context.Context, entry *vault.MountEntry, sysView logical.SystemView,
	view logical.Storage) (logical.Backend, error)

// NewCredentialBackend builds the auth method of a mount.
//
//go:linkname NewCredentialBackend github.com/hashicorp/vault/vault.(*Core).newCredentialBackend
func NewCredentialBackend(c *vault.Core, ctx context.Context, entry *vault.MountEntry, sysView logical.SystemView,
	view logical.Storage) (logical.Backend, error)

// extendedSystemView has the methods of Vault's unexported interface of that
// name. The methods of an interface value are found by their place in the sorted
// list of names, so the two lists must be the same.
type extendedSystemView interface {
	logical.SystemView
	logical.ExtendedSystemView
	SudoPrivilege(context.Context, string, string) bool
}

// MountEntrySysView is what a mount's backend sees of the core.
//
//go:linkname MountEntrySysView github.com/hashicorp/vault/vault.(*Core).mountEntrySysView
func MountEntrySysView(c *vault.Core, entry *vault.MountEntry) extendedSystemView

// AddPathCheckers lets the router refuse what the paths of a mount do not allow.
//
//go:linkname AddPathCheckers github.com/hashicorp/vault/vault.addPathCheckers
func AddPathCheckers(c *vault.Core, entry *vault.MountEntry, backend logical.Backend, viewPath string)

// RemovePathCheckers takes that back.
//
//go:linkname RemovePathCheckers github.com/hashicorp/vault/vault.removePathCheckers
func RemovePathCheckers(c *vault.Core, entry *vault.MountEntry, viewPath string)

// SetReadOnlyErr has a view refuse writes.
//
//go:linkname SetReadOnlyErr github.com/hashicorp/vault/vault.(*BarrierView).setReadOnlyErr
func SetReadOnlyErr(v *vault.BarrierView, err error)

// EnableAudit enables an audit device, with its row in the table or without.
//
//go:linkname EnableAudit github.com/hashicorp/vault/vault.(*Core).enableAudit
func EnableAudit(c *vault.Core, ctx context.Context, entry *vault.MountEntry, updateStorage bool) error

// DisableAudit disables an audit device, with its row in the table or without.
//
//go:linkname DisableAudit github.com/hashicorp/vault/vault.(*Core).disableAudit
func DisableAudit(c *vault.Core, ctx context.Context, path string, updateStorage bool) (bool, error)

// LoadMFAMethodConfigs reads the MFA methods anew.
//
//go:linkname LoadMFAMethodConfigs github.com/hashicorp/vault/vault.(*LoginMFABackend).loadMFAMethodConfigs
func LoadMFAMethodConfigs(b *vault.LoginMFABackend, ctx context.Context, ns *namespace.Namespace) error

// LoadMFAEnforcementConfigs reads the MFA enforcements anew.
//
//go:linkname LoadMFAEnforcementConfigs github.com/hashicorp/vault/vault.(*LoginMFABackend).loadMFAEnforcementConfigs
func LoadMFAEnforcementConfigs(b *vault.LoginMFABackend, ctx context.Context, ns *namespace.Namespace) (
	[]*mfa.MFAEnforcementConfig, error)

// Of the identity store.

// RefreshExternalGroups renews the external groups of an entity after a login.
//
//go:linkname RefreshExternalGroups github.com/hashicorp/vault/vault.(*IdentityStore).refreshExternalGroupMembershipsByEntityID
func RefreshExternalGroups(s *vault.IdentityStore, ctx context.Context, entityID string, groups []*logical.Alias,
	accessor string) ([]*logical.Alias, error)

// ProcessLocalAlias keeps a local alias of an entity.
//
//go:linkname ProcessLocalAlias github.com/hashicorp/vault/vault.(*IdentityStore).processLocalAlias
func ProcessLocalAlias(s *vault.IdentityStore, ctx context.Context, alias *logical.Alias, entity *identity.Entity,
	updateDB bool) (*identity.Alias, error)

// ParseEntity decodes an entity as it is stored.
//
//go:linkname ParseEntity github.com/hashicorp/vault/vault.(*IdentityStore).parseEntityFromBucketItem
func ParseEntity(s *vault.IdentityStore, ctx context.Context, item *storagepacker.Item) (*identity.Entity, error)

// ParseGroup decodes a group as it is stored.
//
//go:linkname ParseGroup github.com/hashicorp/vault/vault.(*IdentityStore).parseGroupFromBucketItem
func ParseGroup(s *vault.IdentityStore, item *storagepacker.Item) (*identity.Group, error)

// CacheTemporaryEntity keeps in memory an entity that only the primary may store.
//
//go:linkname CacheTemporaryEntity github.com/hashicorp/vault/vault.(*IdentityStore).cacheTemporaryEntity
func CacheTemporaryEntity(s *vault.IdentityStore, ctx context.Context, entity *identity.Entity) error
