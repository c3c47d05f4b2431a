// SPDX-License-Identifier: MPL-2.0

// Package vaultname has the names that Vault itself gives: the storage keys of its core
// and the rules of its paths. Vault exports few of them, so they stand here once, and
// everything in the host that needs one takes it from here. It imports nothing.
//
// What Vault's core writes and what class each key has is in the table of package
// keyclass; a test there reads Vault's source for keys that the table has not.
package vaultname
