// SPDX-License-Identifier: MPL-2.0

package vaultname

// Mount is a mount as Vault's router knows it.
type Mount struct {
	// Path is the path as routed: "secret/", "auth/approle/". A remount changes the mount's path but not this field;
	// requests name the present path.
	Path string
	// Class is ClassAuth or ClassSecret.
	Class string
	// UUID and Accessor are the same on all clusters of a set.
	UUID, Accessor string
	// Type is the name of the plugin.
	Type string
	// Local mounts belong to one cluster.
	Local bool
	// External says that the backend runs in a process of its own.
	External bool
	// StoragePrefix is the prefix of the mount's storage keys.
	StoragePrefix string
}

// The classes of mounts.
const (
	ClassAuth   = "auth"
	ClassSecret = "secret"
)

// The core's own backends that other rooms change: their types are those of their mounts.
const (
	System   = "system"
	Identity = "identity"
	Token    = "token"
)
