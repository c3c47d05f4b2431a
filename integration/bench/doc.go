// SPDX-License-Identifier: MPL-2.0

// Command bench measures this build against stock Vault of the same module versions, in one
// run on one machine, and prints a Markdown table of figures and ratios. The figures of one
// side depend on the machine and its load, so read the ratios. `make bench` builds and runs
// it.
//
// All writes go over HTTPS with the stock client into a KV version 1 engine on raft
// storage, values of 512 bytes. The two sides take turns in short rounds, and which one
// begins alternates, so that a slow moment of the machine hits both.
package main
