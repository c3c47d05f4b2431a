// SPDX-License-Identifier: MPL-2.0

// Package vaultname has the names that Vault itself gives: the storage keys of its core and the rules of its paths.
// Vault exports few of them, so they are here once, for all code of the host. It imports nothing.
//
// The table of package keyclass has the keys that Vault's core writes, with their classes. A test there reads Vault's
// source for keys that the table lacks.
package vaultname
