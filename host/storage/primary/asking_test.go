// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/walk"
)

// Questions of one slot run one after the other, and few run at a time over all slots. A question whose caller is gone
// stops waiting.
func TestQuestionsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsking()
		var ends []func()
		for i := range askingMax {
			done, err := a.take(t.Context(), walk.Reader{Mode: "dr", Slot: fmt.Sprint(i)})
			require.NoError(t, err)
			ends = append(ends, done)
		}
		for _, slot := range []string{"0", "another"} {
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error)
			go func() {
				_, err := a.take(ctx, walk.Reader{Mode: "dr", Slot: slot})
				failed <- err
			}()
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-failed, context.Canceled, slot)
		}
		for _, end := range ends {
			end()
		}
		require.Empty(t, a.slots)
		done, err := a.take(t.Context(), walk.Reader{Mode: "dr", Slot: "0"})
		require.NoError(t, err)
		done()
	})
}
