// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	_ "unsafe" // for go:linkname

	"github.com/hashicorp/vault/vault"
)

// The functions of Vault that are reached by name. The empty file linkname.s
// beside this one lets the compiler accept declarations without a body.

//go:linkname sealInternalWithOptions github.com/hashicorp/vault/vault.(*Core).sealInternalWithOptions
func sealInternalWithOptions(c *vault.Core, grabStateLock, keepHALock, performCleanup bool) error

//go:linkname unsealInternal github.com/hashicorp/vault/vault.(*Core).unsealInternal
func unsealInternal(c *vault.Core, ctx context.Context, rootKey []byte) error

//go:linkname unsealKeyToRootKeyPostUnseal github.com/hashicorp/vault/vault.(*Core).unsealKeyToRootKeyPostUnseal
func unsealKeyToRootKeyPostUnseal(c *vault.Core, ctx context.Context, combinedKey []byte) ([]byte, error)

//go:linkname invalidatePolicy github.com/hashicorp/vault/vault.(*PolicyStore).invalidate
func invalidatePolicy(ps *vault.PolicyStore, ctx context.Context, name string, policyType vault.PolicyType)

//go:linkname reloadShamirKey github.com/hashicorp/vault/vault.(*Core).reloadShamirKey
func reloadShamirKey(c *vault.Core, ctx context.Context) error
