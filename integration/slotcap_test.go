// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A secondary that is away for longer than its slot allows is shown in danger, then
// lost; it comes back by itself and ends equal, also when the primary was killed meanwhile.
func TestSlotOverItsCap(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{ExtraHCL: `replication { slot_max_retained = "64KiB" }`})
	client := primary.Node(0).APIClient()
	written := 0
	write := func(n int) {
		for range n {
			_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("cubbyhole/n-%04d", written),
				map[string]any{"n": written})
			require.NoError(t, err)
			written++
		}
	}
	awaitSlot := func(state string) cluster.Slot {
		var slot cluster.Slot
		require.NoError(t, primary.Node(0).WaitDR(ctx, "shows the slot as "+state, func(s *cluster.DRStatus) error {
			if len(s.Slots) != 1 || s.Slots[0].State != state {
				return fmt.Errorf("it is another")
			}
			slot = s.Slots[0]
			return nil
		}))
		return slot
	}
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	slot := awaitSlot("active")
	require.Equal(t, secondary.ClusterID(), slot.ID)

	require.NoError(t, secondary.Stop(ctx, true))
	// From 52 KiB on it is in danger; writes come in pieces that cannot skip that.
	for {
		write(20)
		s, err := primary.Node(0).DRStatus(ctx)
		require.NoError(t, err)
		require.Len(t, s.Slots, 1)
		require.NotEqual(t, "lost", s.Slots[0].State, "without a warning before it")
		if s.Slots[0].State == "warning" {
			require.Greater(t, s.Slots[0].RetainedBytes, uint64(50_000))
			break
		}
		require.Less(t, written, 2000)
	}
	write(300)
	require.Contains(t, awaitSlot("lost").Reason, "slot_max_retained")
	require.NoError(t, primary.Restart(ctx, false))
	require.NoError(t, primary.Node(0).WaitRole(ctx, "primary"))
	awaitSlot("lost")

	require.NoError(t, secondary.Restart(ctx, true))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	client = primary.Node(0).APIClient()
	write(1)
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	awaitSlot("active")
}
