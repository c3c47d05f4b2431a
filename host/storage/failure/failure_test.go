// SPDX-License-Identifier: MPL-2.0

package failure_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A node that has lost its leadership must be asked again; its error is not a failure of the storage.
func TestStorage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		kind replication.Kind
		text string
	}{
		"not the leader": {raft.ErrNotLeader, replication.Unavailable, "does not lead its cluster any more"},
		"deposed, by its text": {errors.New("apply: " + raft.ErrLeadershipLost.Error()), replication.Unavailable,
			"ask again"},
		"wrapped": {fmt.Errorf("put: %w", raft.ErrLeadershipTransferInProgress), replication.Unavailable,
			"did not write a row"},
		"full": {fmt.Errorf("put: %w", syscall.ENOSPC), replication.StorageFailed,
			"the disk of this cluster is full"},
		"any other": {errors.New("broken"), replication.StorageFailed, "the storage failed to write a row: " +
			"broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := failure.Storage("write a row", c.err)
			require.Equal(t, c.kind, replication.KindOf(err))
			require.ErrorContains(t, err, c.text)
			require.ErrorIs(t, err, c.err)
		})
	}
}
