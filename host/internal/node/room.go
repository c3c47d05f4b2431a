// SPDX-License-Identifier: MPL-2.0

package node

import (
	"fmt"
	"syscall"
)

// roomNeeded is what has to be free on raft's disk before the next write of the primary
// is applied: several times what is under way at the same time, in its log and its
// database.
const roomNeeded = 64 << 20

// roomIn looks whether there is room in the folder of raft. Vault ends its process when
// raft cannot store an entry that it has in its log, and one that is not in its log it
// loses the leadership for: a secondary that stops before is there to say why. Without a
// folder nothing is looked at: other storage answers with an error.
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
