// SPDX-License-Identifier: MPL-2.0

// Package proto has both wires: between host and plugin, and between clusters. Its tests compare them with the last
// release, because a cluster is upgraded before others of its set, and before its own plugins.
package proto
