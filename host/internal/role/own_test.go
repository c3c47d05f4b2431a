// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/internal/role/former"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

var (
	ownEpoch = replication.Epoch{Generation: 1, ID: "0123456789"}
	ownTail  = &primary.Tail{Epoch: ownEpoch, To: 30, Terms: []journal.TermStart{{Term: 1, First: 1}},
		Keys: map[string]primary.LastWrite{"logical/u/<é": {Sequence: 20}, "sys/policy/p": {Sequence: 30}}}
)

func ofNewPrimary(sequence uint64) history.History {
	return history.History{{Epoch: replication.Epoch{Generation: 1024, ID: "n"},
		After: replication.Position{Epoch: ownEpoch, Term: 1, Sequence: sequence}}}
}

// ownOf are the own writes of a node that has a role of its own.
func ownOf(t *testing.T, k kill) (o *ownWrites, p *process, r *Record) {
	t.Helper()
	s := newSet(t, k)
	p = open(t, k, newDisk(s.primary), s.share)
	own, roles := *p.changes.own, &roles{record: disabledRecord()}
	own.roles = roles
	duty, err := p.roles.active()
	require.NoError(t, err)
	roles.beginDuty(duty)
	return &own, p, roles.record
}

// Own writes from a role in another mode or another set are looked for too.
func TestOwnWritesOfEveryRole(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		ctx := t.Context()
		o, p, r := ownOf(t, k)
		for _, m := range modes {
			for _, joined := range modes {
				require.NoError(t, o.notes().Put(ctx, m, former.Note{SetID: "set", Open: true}, ownTail))
				_, err := o.beside(ctx, joined, "other", ofNewPrimary(30), false)
				require.ErrorContains(t, err, "it was written to after replication was disabled", "%s, %s", m, joined)
				own, err := o.beside(ctx, joined, "other", ofNewPrimary(30), true)
				require.NoError(t, err)
				require.Equal(t, joined, own.Mode)
				require.False(t, own.Exact)
				require.NoError(t, o.notes().Forget(ctx, m))
			}
		}
		for _, m := range modes {
			own, err := o.beside(ctx, m, "set", ofNewPrimary(30), false)
			require.NoError(t, err)
			require.Nil(t, own, "it was never a primary")
			*r.mode(m) = ModeRecord{Role: replication.Secondary, SetID: "set", Epoch: ownEpoch}
			_, err = o.beside(ctx, m, "set", ofNewPrimary(30), false)
			require.ErrorContains(t, err, "it was not noted what it wrote last")
			require.NoError(t, o.notes().Put(ctx, m, former.Note{SetID: "set"}, ownTail))
			own, err = o.beside(ctx, m, "set", ofNewPrimary(30), false)
			require.NoError(t, err)
			require.Nil(t, own, "the new primary has everything")
			require.NoError(t, o.notes().Forget(ctx, m))
			r.mode(m).Pairing = make([]byte, 32)
			own, err = o.beside(ctx, m, "set", ofNewPrimary(30), false)
			require.NoError(t, err)
			require.Nil(t, own, "it follows a primary")
			*r.mode(m) = ModeRecord{Role: replication.Disabled}
		}

		// A DR secondary gets the note with the role.
		for m, gets := range map[replication.Mode]bool{replication.DR: false, ofClients: true} {
			require.NoError(t, o.notes().Put(ctx, m, former.Note{SetID: "set"}, ownTail))
			tail, err := p.tap.Tail(ctx, replication.DR)
			require.NoError(t, err)
			_, has := tail.Keys[former.HeadKey(m)]
			require.Equal(t, gets, has, m)
		}
	})
}

// A kept file counts for another primary only if that primary lacks the same writes. Keeping ends with the duty and
// then leaves nothing.
func TestWhatIsKeptForOnePrimaryIsNotThatOfAnother(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		ctx := t.Context()
		o, p, r := ownOf(t, k)
		*r.mode(replication.DR) = ModeRecord{Role: replication.Secondary, SetID: "set", Epoch: ownEpoch}
		require.NoError(t, p.core.PutEntry(ctx, "logical/u/<é", []byte("value")))
		require.NoError(t, o.notes().Put(ctx, replication.DR, former.Note{SetID: "set"}, ownTail))
		noted, err := keptWrites{o.book(), o}.NotKept(ctx)
		require.NoError(t, err)
		require.Equal(t, []endpoints.KeptFile{{Mode: replication.DR, Exact: true, Values: 2,
			Places: []endpoints.KeptPlace{{Place: "a mount that is gone", Values: 1}, {Place: "sys/policies/acl/", Values: 1}},
		}}, noted)
		kept := map[string]int{}
		keep := func(of history.History) {
			own, err := o.beside(ctx, replication.DR, "set", of, true)
			require.NoError(t, err)
			f, err := o.keep(own)
			require.NoError(t, err)
			kept[f.ID] = f.Values
		}
		for range 2 {
			keep(ofNewPrimary(25))
			keep(ofNewPrimary(10))
		}
		require.Equal(t, map[string]int{"dr-01234567-25-30": 1, "dr-01234567-10-30": 2}, kept)
		keep(nil)
		require.Len(t, kept, 3)
		require.Contains(t, kept, "dr-01234567-30-all")
		values, err := o.book().Read(ctx, "dr-01234567-10-30", 0, 10)
		require.NoError(t, err)
		require.Equal(t, "logical/u/<é", string(values[0].Key))
		require.Equal(t, "value", string(values[0].Value))
		require.False(t, values[0].Deleted)

		ended, end := context.WithCancel(ctx)
		end()
		o.roles.beginDuty(ended)
		own, err := o.beside(ctx, replication.DR, "set", ofNewPrimary(15), true)
		require.NoError(t, err)
		_, err = o.keep(own)
		require.ErrorIs(t, err, context.Canceled)
		files, err := o.book().List(ctx)
		require.NoError(t, err)
		require.Len(t, files, 3)
	})
}
