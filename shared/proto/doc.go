// SPDX-License-Identifier: MPL-2.0

// Package proto has both wires: between host and plugin, and between clusters. Its tests hold
// them to what the last release speaks: a cluster is upgraded while others of its set, and
// plugins of its own, are not yet.
package proto
