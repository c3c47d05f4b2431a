// SPDX-License-Identifier: MPL-2.0

// Package lock has the locks of the storage tap whose holders wait for the storage: locks of
// keys, turns, and rooms. All are channels, so that waiting for one ends with the waiter's context.
// It knows nothing of what is done under a lock: the order of locks is that of storage.Tap.
package lock
