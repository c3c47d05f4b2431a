// SPDX-License-Identifier: MPL-2.0

// Package routes is Vault's router from within: the routes of mounts, the backends in
// them, and wrappers in front of those.
package routes
