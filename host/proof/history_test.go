// SPDX-License-Identifier: MPL-2.0

package proof_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// everything is a copy of a storage.
func everything(t *testing.T, from physical.Backend) physical.Backend {
	to := newStorage(t)
	var walk func(prefix string)
	walk = func(prefix string) {
		names, err := from.List(t.Context(), prefix)
		require.NoError(t, err)
		for _, n := range names {
			if n[len(n)-1] == '/' {
				walk(prefix + n)
				continue
			}
			e, err := from.Get(t.Context(), prefix+n)
			require.NoError(t, err)
			require.NoError(t, to.Put(t.Context(), e))
		}
	}
	walk("")
	return to
}

// restored is the primary after its storage has gone back to what it was.
func (p *pair) restored(was physical.Backend, e replication.Epoch) {
	p.stored = was
	p.primary = newTap(p.t, was)
	require.NoError(p.t, p.primary.Activate(p.t.Context(), journalOf(e)))
	p.to = p.say(relation, p.secret)
}

// A position that was given and is gone proves that the storage has gone back, once; the
// epoch that begins then has other positions.
func TestAPositionThatWasGivenProvesALostHistory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	p.put("logical/m/1", "a")
	p.apply(p.frame(p.cursor()))
	was := everything(t, p.stored)
	p.put("logical/m/2", "b")
	p.apply(p.frame(p.cursor()))
	lost := p.cursor()

	p.restored(was, epoch)
	require.False(t, p.primary.HistoryLost())
	requireKind(t, replication.PositionLost, p.to.AckSlot(ctx, lost.Position, lost.Proof))
	require.True(t, p.primary.HistoryLost())
	_, err := p.to.OpenSlot(ctx, lost.Proof)
	requireKind(t, replication.Unavailable, err)

	next := replication.Epoch{Generation: epoch.Generation + 1, ID: "next"}
	require.NoError(t, p.primary.Activate(ctx, journalOf(next)))
	p.primary.BeginHistory()
	for range 3 {
		require.Error(t, p.to.AckSlot(ctx, lost.Position, lost.Proof))
		_, err := p.to.ReadJournal(ctx, lost.Position, lost.Proof)
		require.Error(t, err)
		require.False(t, p.primary.HistoryLost(), "one secondary makes epochs without end")
	}
	p.copy()
	require.Equal(t, next, p.cursor().Position.Epoch)
	require.Empty(t, p.has("logical/m/2"))
}

// A secondary has its pairing key and can claim anything. The claim makes it copy and does
// nothing else.
func TestALieBeginsNoEpoch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	p.put("logical/m/1", "a")
	p.apply(p.frame(p.cursor()))
	// The mark that it was given, as it keeps it.
	kept, err := p.secondary.Secondary(replication.DR).Cursor(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, kept.Proof)
	require.NoError(t, p.primary.Deactivate(ctx))
	require.NoError(t, p.primary.Activate(ctx, journalOf(epoch)))

	moved := append(replication.Proof{}, kept.Proof...)
	moved[15] += 100 // the sequence of the mark
	for name, lie := range map[string]replication.Cursor{
		"a term that never was": {Position: replication.Position{Epoch: epoch, Term: 1 << 50, Sequence: 7}},
		"the end of a term that is over": {Position: replication.Position{Epoch: epoch, Term: kept.Position.Term,
			Sequence: 1 << 30}},
		"far beyond what it was given": {Position: replication.Position{Epoch: epoch, Term: 1 << 50, Sequence: 7},
			Proof: kept.Proof},
		"a mark that was moved": {Position: replication.Position{Epoch: epoch, Term: 1 << 50, Sequence: 7},
			Proof: moved},
		"in a copy of a history that was": {Copying: true, CopyFrom: replication.Position{Epoch: epoch, Term: 1 << 50,
			Sequence: 7}, Proof: kept.Proof},
	} {
		c := lie
		c = *p.from.Prove(&c)
		at := lie.Position
		if lie.Copying {
			at = lie.CopyFrom
		}
		err := p.to.AckSlot(ctx, at, c.Proof)
		require.Equal(t, replication.PositionLost, replication.KindOf(err), "%s: %v", name, err)
		_, err = p.to.ReadJournal(ctx, at, c.Proof)
		require.Equal(t, replication.PositionLost, replication.KindOf(err), "%s: %v", name, err)
		_, err = p.to.OpenSlot(ctx, c.Proof)
		require.NoError(t, err, name)
		require.False(t, p.primary.HistoryLost(), name)
	}
}

// A primary is followed into newer histories alone.
func TestEpochsDoNotGoBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, e := range map[string]replication.Epoch{
		"older":     {Generation: epoch.Generation - 1, ID: "e2"},
		"another":   {Generation: epoch.Generation, ID: "other"},
		"unbounded": {Generation: 1<<64 - 1, ID: "last"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			p.put("logical/m/1", "a")
			p.copy()
			p.restored(newStorage(t), e)
			o, err := p.to.OpenSlot(ctx, p.cursor().Proof)
			require.NoError(t, err)
			_, err = p.from.BeginCopy(ctx, *o)
			requireKind(t, replication.InvalidInput, err)
			require.False(t, p.cursor().Copying)
			require.Equal(t, "a", p.has("logical/m/1"))
		})
	}
}
