// SPDX-License-Identifier: MPL-2.0

package simulation

import "strings"

// Steps of the storage at which a process can end. A write has the name of the
// most telling row in it.
const (
	stepCommit  = "commit of data with its journal row"
	stepRow     = "journal row ahead of its data"
	stepData    = "data"
	stepHead    = "head of the journal"
	stepFence   = "fence of a term"
	stepSlot    = "slot"
	stepDelete  = "deletion of journal rows"
	stepFrame   = "applied data with the cursor"
	stepCursor  = "cursor"
	stepState   = "record of the plugin"
	stepOneStep = "redo record"
	stepOther   = "other"
)

// The steps at which a plugin can end are its calls of the host, by name.

func stepOf(changes []change) string {
	var row, data, cursor bool
	for _, c := range changes {
		switch key := c.key; {
		case strings.HasPrefix(key, "wal/logs/"):
			if c.value == nil {
				return stepDelete
			}
			row = true
		case key == "replication/journal/head":
			return stepHead
		case key == "replication/journal/fence":
			return stepFence
		case key == "replication/redo":
			return stepOneStep
		case strings.HasPrefix(key, "replication/") && strings.Contains(key, "/slots/"):
			return stepSlot
		case strings.HasPrefix(key, "replication/") && strings.HasSuffix(key, "/cursor"):
			cursor = true
		case strings.HasPrefix(key, statePrefix):
			return stepState
		default:
			data = true
		}
	}
	switch {
	case row && data:
		return stepCommit
	case row:
		return stepRow
	case cursor && data:
		return stepFrame
	case cursor:
		return stepCursor
	case data:
		return stepData
	default:
		return stepOther
	}
}
