// SPDX-License-Identifier: MPL-2.0

// Package lookout finds out whether the primary of a set is alive, before one of its
// secondaries is promoted beside it.
//
// One look at the session is not enough: between two sessions (a restart of a plugin,
// another address, a leader that steps down) a living primary looks as a dead one does.
// So several places are asked again and again, and a place where nothing answers has to
// stay so for a while. A primary that has just been demoted is waited for in the same way
// until it has let go.
package lookout
