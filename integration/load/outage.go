// SPDX-License-Identifier: MPL-2.0

package load

import "sync/atomic"

// Outage says when the link between the clusters cannot be counted on.
type Outage struct {
	// changes is odd while the link is out. So one number tells whether it is out, and
	// whether it has been out since.
	changes atomic.Uint64
}

// Begin and End mark an outage. End belongs after the link has been seen to work.
func (o *Outage) Begin() { o.changes.Add(1) }

// End marks the end of an outage.
func (o *Outage) End() { o.changes.Add(1) }

// Moment is taken before a request.
func (o *Outage) Moment() uint64 { return o.changes.Load() }

// Since says whether the link was out at any time since the moment.
func (o *Outage) Since(moment uint64) bool { return moment%2 == 1 || o.changes.Load() != moment }
