// SPDX-License-Identifier: MPL-2.0

// Package live changes a core that is running: it mounts, unmounts, moves, tunes and
// reloads, revokes leases, opens audit devices, and renews what the core keeps in memory.
// Package follow says when.
package live
