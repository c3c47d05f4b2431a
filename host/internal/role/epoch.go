// SPDX-License-Identifier: MPL-2.0

package role

import (
	"github.com/hashicorp/go-uuid"

	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// reign is how many generations a promotion leaves to the former primary. A primary begins an epoch by itself when its
// storage goes back in time, and may die before a secondary that can be promoted knows of that epoch. So a
// promotion skips the generations that the former primary may have used.
const reign = 1024

// newHistory is the epoch that follows another while the primary stays the same.
func newHistory(after replication.Epoch) (replication.Epoch, error) {
	return newEpoch(after, after.Generation+1)
}

// newReign is the epoch that a promotion begins after another one. If two clusters are promoted from one reign, they
// get the same generation, so they are noticed.
func newReign(after replication.Epoch) (replication.Epoch, error) {
	return newEpoch(after, (after.Generation/reign+1)*reign)
}

func newEpoch(after replication.Epoch, generation uint64) (replication.Epoch, error) {
	if after.Generation >= proof.GenerationMax {
		return replication.Epoch{}, replication.Errorf(replication.Internal, "no epoch can follow %s: no cluster is "+
			"promoted as often", after)
	}
	id, err := uuid.GenerateUUID()
	if err != nil {
		return replication.Epoch{}, err
	}
	return replication.Epoch{Generation: generation, ID: id}, nil
}
