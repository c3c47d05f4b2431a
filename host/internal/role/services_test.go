// SPDX-License-Identifier: MPL-2.0

package role

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/services"
	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// twoHosts are the services of a primary and of its DR secondary, as their plugins see
// them, of which the secondary has nothing yet but its keys.
func twoHosts(t *testing.T, k kill) (s *set, primary, secondary *process) {
	t.Helper()
	s = newSet(t, k)
	primary, secondary = open(t, k, newDisk(s.primary), s.share), open(t, k, newDisk(s.secondary), s.share)
	// As release 0.1.0 has stored it.
	require.NoError(t, primary.core.PutEntry(t.Context(), records.OfMode(replication.DR)+"pairing/"+
		hex.EncodeToString([]byte(west)), make([]byte, 32)))
	return s, primary, secondary
}

// servicesOf are those of a node for the plugin of a mode.
func servicesOf(c *Controller, mode replication.Mode) *services.Services {
	seen := c.ForPlugins()
	return services.New(mode, services.Options{
		Roles: seen, Sessions: seen, Content: seen, Core: c.core, Tap: c.tap, Store: c.store, Paired: c.paired,
		Relations: c.relations, Ring: c.ring,
	})
}

func requireDenied(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, replication.Denied, replication.KindOf(err), "%v", err)
}

// What two hosts tell each other through plugins is taken as it was sent, and nothing else.
func TestServicesAreProven(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		ctx := t.Context()
		_, primary, secondary := twoHosts(t, k)
		p, s := servicesOf(primary.Controller, replication.DR), servicesOf(secondary.Controller, replication.DR)
		c, err := s.Cursor(ctx)
		require.NoError(t, err)
		o, err := p.OpenSlot(ctx, west, c.Proof)
		require.NoError(t, err)
		c, err = s.BeginCopy(ctx, *o)
		require.NoError(t, err)
		for after, last := "", false; !last; {
			rng, err := p.ReadRange(ctx, replication.ReadRangeRequest{SlotID: west, After: after, Proof: c.Proof})
			require.NoError(t, err)
			after, last = rng.UpTo, rng.Last
			c, err = s.ApplyRange(ctx, rng)
			require.NoError(t, err)
			_, err = s.ApplyRange(ctx, &replication.Range{After: rng.After, UpTo: rng.UpTo, Last: rng.Last,
				Payload: rng.Payload})
			requireDenied(t, err)
		}
		c, err = s.EndCopy(ctx)
		require.NoError(t, err)
		require.NoError(t, p.AckSlot(ctx, west, c.Position, c.Proof))

		primary.relations.ForgetAll() // as a restart does; what was given still counts
		require.NoError(t, primary.core.PutEntry(ctx, "core/x", []byte("1")))
		r, err := p.ReadJournal(ctx, replication.ReadJournalRequest{SlotID: west, After: c.Position, Proof: c.Proof})
		require.NoError(t, err)
		f, err := r.Next()
		require.NoError(t, err)
		require.NoError(t, r.Close())
		forged := *f
		forged.ConsistentFrom++
		_, err = s.ApplyFrame(ctx, &forged)
		requireDenied(t, err)
		status, err := secondary.Status(ctx, replication.DR)
		require.NoError(t, err)
		require.Contains(t, status.Sessions.LastError, "is not what the primary's host has sent")
		after, err := s.ApplyFrame(ctx, f)
		require.NoError(t, err)
		require.Equal(t, f.To, after.Position)
	})
}

// Without its pairing key a secondary has nothing of this primary, and a revocation deletes
// that first, though no plugin runs.
func TestRevocationDoesNotAskThePlugin(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		ctx := t.Context()
		_, primary, secondary := twoHosts(t, k)
		p, s := servicesOf(primary.Controller, replication.DR), servicesOf(secondary.Controller, replication.DR)
		c, err := s.Cursor(ctx)
		require.NoError(t, err)
		require.NoError(t, p.AckSlot(ctx, west, replication.Position{}, nil))

		primary.changes.changing.Lock() // of what changes meanwhile nothing is waited for
		defer primary.changes.changing.Unlock()
		warnings, err := primary.Primary().RevokeSecondary(ctx, replication.DR, replication.RevokeSecondaryRequest{ID: west})
		require.NoError(t, err)
		require.Len(t, warnings, 1)
		require.Empty(t, primary.tap.Slots(replication.DR))

		for name, call := range map[string]func() error{
			"Position": func() error { _, err := p.Position(ctx, west); return err },
			"OpenSlot": func() error { _, err := p.OpenSlot(ctx, west, c.Proof); return err },
			"AckSlot":  func() error { return p.AckSlot(ctx, west, c.Position, c.Proof) },
			"ReadJournal": func() error {
				_, err := p.ReadJournal(ctx, replication.ReadJournalRequest{SlotID: west, After: c.Position, Proof: c.Proof})
				return err
			},
			"ReadRange": func() error {
				_, err := p.ReadRange(ctx, replication.ReadRangeRequest{SlotID: west, Proof: c.Proof})
				return err
			},
			"AnswerDiff": func() error { _, err := p.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: west}); return err },
			"SealHandover": func() error {
				_, err := p.SealHandover(ctx, replication.SealHandoverRequest{SecondaryID: west})
				return err
			},
		} {
			require.Equal(t, replication.Denied, replication.KindOf(call()), name)
		}
		require.NoError(t, p.CloseSlot(ctx, west))
	})
}

// No epoch is so far on that none can follow it.
func TestEpochsHaveAnEnd(t *testing.T) {
	t.Parallel()
	_, err := newHistory(replication.Epoch{Generation: proof.GenerationMax, ID: "last"})
	require.ErrorContains(t, err, "no epoch can follow")
}

// A plugin may overwrite and delete its records when it has as many as it may have.
func TestRecordsOfAPluginAreBounded(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	for i := range services.StateRecordsMax {
		require.NoError(t, s.core.PutEntry(ctx, records.OfPlugin(perf)+fmt.Sprint("many/", i), []byte("v")))
	}
	host := servicesOf(s.Controller, perf)
	require.Equal(t, replication.InvalidInput, replication.KindOf(host.PutState(ctx, "one-too-many", []byte("v"))))
	value, err := host.GetState(ctx, "one-too-many")
	require.NoError(t, err)
	require.Nil(t, value)
	require.NoError(t, host.PutState(ctx, "many/7", []byte("w")))
	require.NoError(t, host.DeleteState(ctx, "many/7"))
	require.NoError(t, host.PutState(ctx, "one-too-many", []byte("v")))
}
