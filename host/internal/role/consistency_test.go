// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Numbers of a former epoch say nothing of the present one, however large they are.
func TestForwardedKeepsTheLatestState(t *testing.T) {
	t.Parallel()
	of := func(generation, sequence uint64) replication.Position {
		return replication.Position{Epoch: replication.Epoch{Generation: generation, ID: "id"}, Sequence: sequence}
	}
	c := &roles{}
	for _, step := range []struct{ told, want replication.Position }{
		{of(2, 900), of(2, 900)},
		{of(2, 800), of(2, 900)},
		{of(2, 901), of(2, 901)},
		{of(3, 5), of(3, 5)},
		{of(2, 950), of(3, 5)},
	} {
		Set{roles: c}.Forwarded(step.told)
		require.Equal(t, step.want, *c.forwarded.Load())
	}
}
