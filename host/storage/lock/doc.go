// SPDX-License-Identifier: MPL-2.0

// Package lock has the locks of the storage tap whose holders wait for the storage: locks of keys, turns, and rooms.
// All are channels, so that a wait ends with the waiter's context. storage.Tap says in which order locks are taken.
package lock
