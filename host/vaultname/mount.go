// SPDX-License-Identifier: MPL-2.0

package vaultname

// Mount is a mount as Vault's router knows it.
type Mount struct {
	// Path is the path as routed: "secret/", "auth/approle/". A remount changes it
	// and leaves this one behind: requests name the present one.
	Path string
	// Class is ClassAuth or ClassSecret.
	Class string
	// UUID and Accessor are the same on all clusters of a set.
	UUID, Accessor string
	// Type is the name of the plugin.
	Type string
	// Local mounts are of one cluster.
	Local bool
	// External says that the backend runs in a process of its own.
	External bool
	// StoragePrefix is what the storage keys of the mount begin with.
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
