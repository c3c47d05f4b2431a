// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Storing a filter may take long. Meanwhile the position and the content of a slot can be asked for, and a caller that
// waits for a range can give up.
func TestFilterThatIsBeingStoredIsInNobodysWay(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary, _, _, _ := perfPair(t, newTxn(t))
	storing, stored := make(chan struct{}), make(chan struct{})
	changed := make(chan error)
	go func() {
		changed <- primary.ChangeFilter(ctx, perf, "s", func(string) bool { return false }, func() error {
			close(storing)
			<-stored
			return nil
		})
	}()
	<-storing
	require.False(t, primary.Filtered(perf, "s"))
	require.True(t, primary.Sends(perf, "s", "logical/kv/a"))
	over, leave := context.WithCancel(ctx)
	leave()
	_, err := primary.ReadRange(over, perf, "s", "")
	require.ErrorIs(t, err, context.Canceled)
	err = primary.ChangeFilter(over, perf, "s", nil, func() error { return nil })
	require.ErrorIs(t, err, context.Canceled, "nor does the next change wait longer than its caller")
	close(stored)
	require.NoError(t, <-changed)
	require.True(t, primary.Filtered(perf, "s"))
}
