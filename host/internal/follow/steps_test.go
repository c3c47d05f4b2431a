// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// A step that does not end is not begun once more with each change: what hangs would
// pile up. Others go on, and it is done when it can be.
func TestOneStepAtATimeGoesOnPastItsBound(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	hangs := make(chan struct{})
	core.stuck["changed"] = hangs
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	core.stored[vaultname.Mounts] = core.running[vaultname.Mounts]
	for range 3 {
		f.Applied(ctx, []string{"logical/1/x", "sys/config/cors"})
	}
	require.Equal(t, "changed logical/1/x, cors, cors, cors", core.done())
	require.Len(t, f.Lacks(), 1)
	f.Applied(ctx, []string{"logical/2/x"})
	require.Equal(t, "changed logical/2/x", core.done(), "another mount")

	core.with(func() { delete(core.stuck, "changed") })
	close(hangs)
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.steps) == 0
	}, patient, time.Millisecond)
	require.NoError(t, f.Recheck(ctx))
	require.Equal(t, "rebuild 1", core.done())
	require.Empty(t, f.Lacks())
}
