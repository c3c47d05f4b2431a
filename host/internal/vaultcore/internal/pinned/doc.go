// SPDX-License-Identifier: MPL-2.0

// Package pinned is what the packages of vaultcore need of the one version of Vault that
// go.mod names and that Vault does not export: fields of its structs, and functions.
//
// [Check] compares the fields with the types that are linked in, before a core is
// attached to. Tests of this package read Vault's source for the rest: the parameters of
// the functions, and what was copied from Vault's behaviour elsewhere in the host. See
// docs/raising-vault.md.
package pinned

// Only the copy of Vault that make prepare makes has this package: without the copy a build stops here and
// names what to run.
import _ "github.com/hashicorp/vault/run_make_prepare_first"
