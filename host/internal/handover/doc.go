// SPDX-License-Identifier: MPL-2.0

// Package handover moves a cluster's keys to a joining secondary, from host to host, past
// both plugins.
//
// The primary's host collects [Material]: root key, keyring, seal material, and the tables
// that a core cannot start without. It seals the material under a key that it derives from
// the secondary's pairing key. The pairing key travelled in the activation token, and only
// the two hosts know it. The joining host opens the material and turns it into storage
// rows. They are written in one step: with them the cluster is the secondary, without them
// it is what it was.
//
// The seals of the two clusters are combined by Vault Enterprise's rules:
//
//	primary   secondary   afterwards on the secondary
//	shamir    shamir      the primary's unseal shares open it
//	shamir    auto        own wrapper; recovery shares are the primary's unseal shares
//	auto      auto        own wrapper; recovery shares are the primary's
//	auto      shamir      unseal shares are the primary's recovery shares
package handover
