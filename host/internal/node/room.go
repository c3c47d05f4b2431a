// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"
	"syscall"
)

// roomNeeded is how much must be free on raft's disk before the next write of the primary is applied: several times the
// size of the writes under way, in raft's log and in its database.
const roomNeeded = 64 << 20

// roomIn checks whether there is room in raft's folder. Vault ends its process when raft cannot store an entry that is
// in its log, and loses the leadership when raft cannot write its log. A secondary that stops before can still say why.
// Without a folder nothing is checked, because other storage answers with an error.
func roomIn(folder string) func() error {
	if folder == "" {
		return nil
	}
	return func() error {
		free, err := freeBytes(folder)
		if err != nil || free >= roomNeeded {
			return nil //nolint:nilerr // the write itself will say what is wrong
		}
		return fmt.Errorf("%s has %d MiB free, of %d that it takes to go on: %w", folder, free>>20, roomNeeded>>20,
			syscall.ENOSPC)
	}
}
