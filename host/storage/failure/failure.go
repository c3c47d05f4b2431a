// SPDX-License-Identifier: MPL-2.0

// Package failure makes the errors that more than one part of the storage tap returns, so that an operator reads the
// same sentence from each part. It decides nothing: the caller decides what is tried again.
package failure

import (
	"errors"
	"strings"
	"syscall"

	"github.com/hashicorp/raft"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Ended is the error of readers and writers whose term of the journal is over.
var Ended = replication.Errorf(replication.Unavailable, "the journal has ended because this node is no longer the "+
	"active node of a primary")

// deposed are the errors of raft on a node that does not lead, or has just stopped leading. The storage has not failed:
// a caller that asks again reaches the new leader.
var deposed = []error{raft.ErrNotLeader, raft.ErrLeadershipLost, raft.ErrLeadershipTransferInProgress}

// Storage is the error of a storage that has failed to do something.
func Storage(what string, err error) error {
	for _, of := range deposed {
		if errors.Is(err, of) || strings.Contains(err.Error(), of.Error()) {
			return replication.Errorf(replication.Unavailable,
				"this node does not lead its cluster any more, so its storage did not %s; ask again: %w", what, err)
		}
	}
	// An operator can mend this failure at once. Raft passes on only its text.
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return replication.Errorf(replication.StorageFailed,
			"the disk of this cluster is full, so the storage failed to %s; make room on it, and it goes on by itself: %w", what,
			err)
	}
	return replication.Errorf(replication.StorageFailed, "the storage failed to %s: %w", what, err)
}

// Malformed is the error for content of the primary that cannot be read.
func Malformed(err error) error {
	return replication.Errorf(replication.InvalidInput, "the primary sent content that cannot be read, nothing was "+
		"applied: %w", err)
}

// Mode is an error unless the mode exists.
func Mode(mode replication.Mode) error {
	if _, err := replication.ParseMode(string(mode)); err != nil {
		return replication.Errorf(replication.InvalidInput, "%w", err)
	}
	return nil
}
