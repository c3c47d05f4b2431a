// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"slices"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// indexes are below which the rows of the index of a mode are. They are Own, and the cache
// below the tap leaves them alone. Nothing else of the storage names a mode.
var indexes = map[replication.Mode]string{
	replication.DR: "index-dr/pages/", replication.Performance: "index/pages/",
}

// IndexPrefix is below which the rows of the index of a mode are.
func IndexPrefix(mode replication.Mode) string { return indexes[mode] }

// InMode says whether keys of a class are part of the content of a mode.
func InMode(class Class, mode replication.Mode) bool {
	return class == Shared || class != Own && mode.ReplicatesLocal()
}

// Replicated says whether a key is part of the content of a mode.
func (c *Classifier) Replicated(mode replication.Mode, key string) bool {
	return InMode(c.Class(key), mode)
}

// ByMount says whether it depends on the mount if a key of its view is replicated: a mode that
// leaves out what is local must know which mounts are. Until then the key is held back, and
// what belongs to no mount is not replicated.
func ByMount(mode replication.Mode) bool { return !mode.ReplicatesLocal() }

// ModesByMount are the modes of which ByMount is true.
var ModesByMount = slices.DeleteFunc(replication.Modes(), replication.Mode.ReplicatesLocal)

// IsHeld says whether a key of a class is held back in a mode.
func IsHeld(mode replication.Mode, class Class, key string) bool {
	return class == Unknown && ByMount(mode) && InView(key)
}
