// SPDX-License-Identifier: MPL-2.0

package role

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Sequences of a former epoch say nothing about the present one, however large they are.
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

// A performance secondary accepts no index while it copies: its content mixes two states, perhaps of two histories. It
// accepts one of the new state once the copy has ended.
func TestNoIndexIsHereDuringACopy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	tap := storage.New(inner, storage.Options{})
	tap.OnDuty(ctx)
	record := disabledRecord()
	*record.mode(ofClients) = drSecondary().DR
	node := Consistency{set: Set{roles: &roles{record: record}, tap: tap}, wait: time.Minute}
	here := tap.Secondary(ofClients)
	copies := func(from replication.Position, during func()) {
		require.NoError(t, here.BeginCopy(ctx, from, nil))
		during()
		_, err := here.ApplyRange(ctx, &replication.Range{Last: true, Payload: journal.EncodeRange(nil)})
		require.NoError(t, err)
		during()
		_, err = here.EndCopy(ctx)
		require.NoError(t, err)
	}
	former := replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "former"}, Sequence: 5}
	copies(former, func() { require.False(t, node.Present(former), "the first copy") })
	require.True(t, node.Present(former))
	require.NoError(t, node.Wait(ctx, former))
	present := replication.Position{Epoch: replication.Epoch{Generation: 2, ID: "present"}, Sequence: 3}
	copies(present, func() {
		require.False(t, node.Present(former), "of a lost history")
		require.False(t, node.Present(present), "not complete")
		require.Equal(t, replication.PositionLost, replication.KindOf(node.Wait(ctx, former)))
	})
	require.False(t, node.Present(former))
	require.True(t, node.Present(present))

	// A secondary that only compares again keeps its content but mixes two states too.
	late := replication.Position{Epoch: present.Epoch, Sequence: 9}
	waited := make(chan error, 1)
	begin := sync.OnceFunc(func() {
		go func() { waited <- node.Wait(ctx, late) }()
		require.Eventually(t, func() bool { return here.Waiting() == 1 }, time.Minute, time.Millisecond)
	})
	copies(late, func() {
		require.False(t, node.Present(present))
		require.Error(t, node.Wait(ctx, present))
		begin()
	})
	require.NoError(t, <-waited)
	require.True(t, node.Present(present))
}
