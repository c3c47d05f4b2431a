// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"slices"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// indexes are the prefixes of the stored index of each mode. Their keys are Own, and the cache below the tap does not
// keep them. No other code of the storage names a mode.
var indexes = map[replication.Mode]string{
	replication.DR: "index-dr/pages/", replication.Performance: "index/pages/",
}

// IndexPrefix is the prefix of the stored index of a mode.
func IndexPrefix(mode replication.Mode) string { return indexes[mode] }

// InMode says whether keys of a class are part of the content of a mode.
func InMode(class Class, mode replication.Mode) bool {
	return class == Shared || class != Own && mode.ReplicatesLocal()
}

// Replicated says whether a key is part of the content of a mode.
func (c *Classifier) Replicated(mode replication.Mode, key string) bool {
	return InMode(c.Class(key), mode)
}

// ByMount says whether a mode replicates a key of a view only if its mount allows it: a mode that leaves out local keys
// must know which mounts are local. Until a mount is known, its keys are held back. A key without a mount is not
// replicated.
func ByMount(mode replication.Mode) bool { return !mode.ReplicatesLocal() }

// ModesByMount are the modes for which ByMount is true.
var ModesByMount = slices.DeleteFunc(replication.Modes(), replication.Mode.ReplicatesLocal)

// IsHeld says whether a key of a class is held back in a mode.
func IsHeld(mode replication.Mode, class Class, key string) bool {
	return class == Unknown && ByMount(mode) && InView(key)
}
