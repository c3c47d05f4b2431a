// SPDX-License-Identifier: MPL-2.0

// Package fingerprint keeps one number over a set of keys and values that is
// equal on two clusters if and only if their sets are: the sum modulo 2^256 of
// a keyed hash of every pair. A write changes it in constant time, in any order.
// The key is a secret of the replication set, so that nobody can make a set of
// writes that cancels out.
package fingerprint
