// SPDX-License-Identifier: MPL-2.0

// Package station says in the log when a write passes a point on its way from the primary's journal to
// the storage of a secondary. It costs one load of a number while the server does not log traces.
package station

import (
	"time"

	"github.com/hashicorp/go-hclog"
)

// Passed begins the line of the log.
const Passed = "a write has passed"

// Station is a point on the way.
type Station string

// The stations in their order. A frame has the sequence of its last row, and so have the stations from there on.
const (
	Numbered Station = "numbered" // it has a sequence of the journal
	Stored   Station = "stored"   // the primary's storage has it with its row
	Framed   Station = "framed"   // the primary's plugin gets the frame that it is in
	Received Station = "received" // the secondary's plugin has brought the frame
	Applied  Station = "applied"  // the secondary's storage has it with the cursor
)

// Log says that everything up to a sequence has passed a station, or that one write has.
func Log(l hclog.Logger, at Station, sequence uint64) {
	if l.IsTrace() {
		l.Trace(Passed, "station", string(at), "sequence", sequence, "nanos", time.Now().UnixNano())
	}
}
