// SPDX-License-Identifier: MPL-2.0

// Package cluster runs real Vault servers as separate processes on 127.0.0.1,
// for tests, the demo and the benchmark: raft, file or in-memory storage, Shamir
// or transit seal, TLS from a CA of its own, one node or several.
//
// A [Cluster] implements HashiCorp's testcluster.VaultCluster, so the helpers of
// sdk/helper/testcluster run against it unchanged. Clusters that talk to each
// other must share one [CA]: those helpers hand the secondary its own CA file to
// verify the primary.
//
// Nothing outlives the process that started it: a server dies with its parent
// (Pdeathsig), and Cleanup kills its whole process group, plugins included.
package cluster
