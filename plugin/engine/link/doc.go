// SPDX-License-Identifier: MPL-2.0

// Package link holds what both ends of a link share: limits, checks of every
// message that arrives, conversion to the types of package replication, the
// rules by which two histories of writes are compared, and how an error keeps
// its kind over the wire.
//
// Whatever arrives from the other cluster goes through a From function of this
// package before anything else looks at it.
package link
