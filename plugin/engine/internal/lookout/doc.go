// SPDX-License-Identifier: MPL-2.0

// Package lookout finds out whether the primary of a set is alive before one of its
// secondaries is promoted.
//
// One look at the session is not enough. Between two sessions (a restart of a plugin,
// another address, a leader that steps down) a living primary looks like a dead one. So
// several places are asked again and again, and a place must stay silent for a while. A
// primary that has just been demoted is given the same time to let go.
package lookout
