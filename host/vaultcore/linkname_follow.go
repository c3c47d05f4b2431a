// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	_ "unsafe" // for go:linkname

	"github.com/hashicorp/vault/helper/identity/mfa"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
)

// The functions of Vault behind the seams of live changes.

//go:linkname newLogicalBackend github.com/hashicorp/vault/vault.(*Core).newLogicalBackend
func newLogicalBackend(c *vault.Core, ctx context.Context, entry *vault.MountEntry, sysView logical.SystemView, view logical.Storage) (logical.Backend, error)

//go:linkname newCredentialBackend github.com/hashicorp/vault/vault.(*Core).newCredentialBackend
func newCredentialBackend(c *vault.Core, ctx context.Context, entry *vault.MountEntry, sysView logical.SystemView, view logical.Storage) (logical.Backend, error)

// extendedSystemView has the methods of Vault's unexported interface of that
// name. The methods of an interface value are found by their place in the sorted
// list of names, so the two lists must be the same.
type extendedSystemView interface {
	logical.SystemView
	logical.ExtendedSystemView
	SudoPrivilege(context.Context, string, string) bool
}

//go:linkname mountEntrySysView github.com/hashicorp/vault/vault.(*Core).mountEntrySysView
func mountEntrySysView(c *vault.Core, entry *vault.MountEntry) extendedSystemView

//go:linkname addPathCheckers github.com/hashicorp/vault/vault.addPathCheckers
func addPathCheckers(c *vault.Core, entry *vault.MountEntry, backend logical.Backend, viewPath string)

//go:linkname removePathCheckers github.com/hashicorp/vault/vault.removePathCheckers
func removePathCheckers(c *vault.Core, entry *vault.MountEntry, viewPath string)

//go:linkname setReadOnlyErr github.com/hashicorp/vault/vault.(*BarrierView).setReadOnlyErr
func setReadOnlyErr(v *vault.BarrierView, err error)

//go:linkname enableAudit github.com/hashicorp/vault/vault.(*Core).enableAudit
func enableAudit(c *vault.Core, ctx context.Context, entry *vault.MountEntry, updateStorage bool) error

//go:linkname disableAudit github.com/hashicorp/vault/vault.(*Core).disableAudit
func disableAudit(c *vault.Core, ctx context.Context, path string, updateStorage bool) (bool, error)

//go:linkname loadMFAMethodConfigs github.com/hashicorp/vault/vault.(*LoginMFABackend).loadMFAMethodConfigs
func loadMFAMethodConfigs(b *vault.LoginMFABackend, ctx context.Context, ns *namespace.Namespace) error

//go:linkname loadMFAEnforcementConfigs github.com/hashicorp/vault/vault.(*LoginMFABackend).loadMFAEnforcementConfigs
func loadMFAEnforcementConfigs(b *vault.LoginMFABackend, ctx context.Context, ns *namespace.Namespace) ([]*mfa.MFAEnforcementConfig, error)
