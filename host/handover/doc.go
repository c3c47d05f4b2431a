// SPDX-License-Identifier: MPL-2.0

// Package handover moves a cluster's keys to a joining secondary, from host to
// host, past both plugins.
//
// The primary's host collects [Material] (root key, keyring, seal material, the
// tables a core cannot start without) and seals it under a key derived from the
// pairing key of that secondary, which travelled in the activation token and is
// known to the two hosts alone. The joining host opens it and turns it into
// storage rows: with them, in one storage transaction, the cluster is the
// secondary; without them it is what it was.
//
// The rules for combining the two clusters' seals are Vault Enterprise's:
//
//	primary   secondary   afterwards on the secondary
//	shamir    shamir      the primary's unseal shares open it
//	shamir    auto        own wrapper; recovery shares are the primary's unseal shares
//	auto      auto        own wrapper; recovery shares are the primary's
//	auto      shamir      unseal shares are the primary's recovery shares
package handover
