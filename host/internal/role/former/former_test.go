// SPDX-License-Identifier: MPL-2.0

package former_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/internal/role/former"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

var (
	old   = replication.Epoch{Generation: 1, ID: "old"}
	later = replication.Epoch{Generation: 1024, ID: "new"}
	last  = replication.Epoch{Generation: 2048, ID: "last"}
	// terms are of a primary that was started twice.
	terms = []journal.TermStart{{Term: 2, First: 1, Next: 16}, {Term: 3, First: 21}}
)

func promotedAt(sequence uint64) history.History {
	return history.History{{Epoch: later, After: replication.Position{Epoch: old,
		Term: journal.TermAt(terms, sequence), Sequence: sequence}}}
}

func inTerm(h history.History, term uint64) history.History {
	h[0].After.Term = term
	return h
}

func notes(t *testing.T) former.Notes {
	t.Helper()
	store, err := inmem.NewInmem(map[string]string{"max_value_size": "131072"}, hclog.NewNullLogger())
	require.NoError(t, err)
	return former.Notes{Store: store, Write: func(ctx context.Context, rows []onestep.Row) error {
		for _, row := range rows {
			if row.Value == nil {
				err = errors.Join(err, store.Delete(ctx, row.Key))
			} else {
				err = errors.Join(err, store.Put(ctx, &physical.Entry{Key: row.Key, Value: row.Value}))
			}
		}
		return err
	}}
}

func mounts(t *testing.T) *keyclass.Mounts {
	t.Helper()
	m := keyclass.NewMounts()
	_, err := m.SetTable(vaultname.Mounts, []vaultname.Mount{{UUID: "u", Path: "secret/", Type: "kv"}})
	require.NoError(t, err)
	return m
}

// The new primary lacks what was written after the position of its promotion.
func TestWhatTheNewPrimaryDoesNotHave(t *testing.T) {
	t.Parallel()
	const (
		begin = "this cluster was a primary and has written "
		none  = " that the new primary does not have"
		all   = "3 values" + none + ", in secret/ (2), sys/policies/acl/ (1)"
		after = ": nothing was changed; give keep_own_writes=true to have it keep %s in an encrypted file before it " +
			"follows the new primary"
		more = "; how many more is not known, because "
		some = "this cluster was a primary and may have written values" + none + ", because "
	)
	kept := func(what string) string { return fmt.Sprintf(after, what) }
	for name, c := range map[string]struct {
		note    former.Note
		of      history.History
		exact   bool
		refused string // empty if nothing is of its own
	}{
		"all was sent": {of: promotedAt(30), exact: true},
		"some was not": {of: promotedAt(20), exact: true,
			refused: begin + "1 value" + none + ", in sys/policies/acl/ (1)" + kept("it")},
		"all the note has": {of: promotedAt(10), exact: true, refused: begin + all + kept("them")},
		"before the note": {of: promotedAt(9), refused: begin + "at least " + all + more +
			"its journal does not reach back to where the new primary took over" + kept("all that it has")},
		"not all was there": {of: history.History{{After: promotedAt(30)[0].After, Lacking: true}},
			refused: some + "the new primary did not have everything when it took over" + kept("all that it has")},
		"one that came later did not have all": {of: append(promotedAt(30), history.Reign{Epoch: last,
			After: replication.Position{Epoch: later, Term: 1, Sequence: 40}, Lacking: true}),
			refused: some + "the new primary did not have everything when it took over" + kept("all that it has")},
		"one that came before did not have all": {of: append(history.History{{Epoch: old, Lacking: true}},
			promotedAt(30)...), exact: true},
		"the storage went back": {of: inTerm(promotedAt(1000), 7),
			refused: some + "its storage went back in time" + kept("all that it has")},
		"the storage went back, and more was written": {of: inTerm(promotedAt(24), 2),
			refused: begin + "at least 1 value" + none + ", in sys/policies/acl/ (1)" + more +
				"its storage went back in time" + kept("all that it has")},
		"before a term that is over": {of: inTerm(promotedAt(15), 2), exact: true, refused: begin + "2 values"},
		"an unknown history":         {refused: begin + "at least " + all},
		"written to since": {note: former.Note{Open: true}, of: promotedAt(30),
			refused: some + "it was written to after replication was disabled" + kept("all that it has")},
		"of another set": {note: former.Note{SetID: "other"}, of: promotedAt(20), refused: begin + "at least 1 value" + none +
			", in sys/policies/acl/ (1)" + more + "it was a primary of another set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := notes(t)
			if c.note.SetID == "" {
				c.note.SetID = "set"
			}
			require.NoError(t, n.Put(t.Context(), replication.DR, c.note, &primary.Tail{Epoch: old, Terms: terms, From: 10,
				To: 30,
				Keys: map[string]primary.LastWrite{
					"logical/u/a": {Sequence: 11}, "logical/u/b": {Sequence: 20, Deleted: true}, "sys/policy/p": {Sequence: 30},
					"core/keyring": {Sequence: 30}, "sys/token/id/x": {Sequence: 30, Deleted: true}, "sys/counters/a": {Sequence: 30},
				}}))
			own, err := n.Beside(t.Context(), replication.DR, "set", c.of, true)
			require.NoError(t, err)
			if c.refused == "" {
				require.Nil(t, own)
				return
			}
			require.NotNil(t, own)
			require.Equal(t, c.exact, own.Exact)
			err = own.Refusal(mounts(t))
			require.ErrorContains(t, err, c.refused)
			require.Equal(t, replication.InvalidInput, replication.KindOf(err))
		})
	}
}

// A note replaces an earlier one of any length. It also records that the cluster was written to later.
func TestNotes(t *testing.T) {
	t.Parallel()
	n := notes(t)
	tail := &primary.Tail{Epoch: old, Terms: terms, To: 5000, Keys: map[string]primary.LastWrite{}}
	for i := range 3000 {
		tail.Keys[fmt.Sprintf("logical/u/%d", i)] = primary.LastWrite{Sequence: uint64(i + 1)}
	}
	require.NoError(t, n.Put(t.Context(), replication.DR, former.Note{SetID: "set"}, tail))
	own, err := n.Beside(t.Context(), replication.DR, "set", promotedAt(1000), false)
	require.NoError(t, err)
	require.Len(t, own.Writes, 2000)
	none, err := n.Beside(t.Context(), replication.Performance, "set", promotedAt(1000), false)
	require.NoError(t, err)
	require.Nil(t, none)

	require.NoError(t, n.Put(t.Context(), replication.DR, former.Note{SetID: "set"},
		&primary.Tail{Epoch: old, Terms: terms, From: 9, To: 9}))
	own, err = n.Beside(t.Context(), replication.DR, "set", promotedAt(9), false)
	require.NoError(t, err)
	require.Nil(t, own)
	require.NoError(t, n.Opened(t.Context(), replication.DR))
	own, err = n.Beside(t.Context(), replication.DR, "set", promotedAt(9), false)
	require.NoError(t, err)
	require.NotNil(t, own)
	require.NoError(t, n.Forget(t.Context(), replication.DR))
	note, err := n.Get(t.Context(), replication.DR)
	require.NoError(t, err)
	require.Nil(t, note)
}

// If a demoted cluster has no note, the note was lost or a former version demoted the cluster.
func TestADemotedPrimaryWithoutANote(t *testing.T) {
	t.Parallel()
	n := notes(t)
	own, err := n.Beside(t.Context(), replication.DR, "set", promotedAt(30), false)
	require.NoError(t, err)
	require.Nil(t, own)
	own, err = n.Beside(t.Context(), replication.DR, "set", promotedAt(30), true)
	require.NoError(t, err)
	require.False(t, own.Exact)
	require.ErrorContains(t, own.Refusal(mounts(t)), "may have written values that the new primary does not have, "+
		"because "+
		"it was not noted what it wrote last")
}

// Names of any length and of any bytes are noted as they are, in rows that every storage takes.
func TestNamesOfAnyKind(t *testing.T) {
	t.Parallel()
	for what, name := range map[string]string{"letters": strings.Repeat("a", 1100), "escaped": strings.Repeat("<", 170),
		"not text": "\xff\xfe", "the longest": strings.Repeat("<", 90_000)} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n := notes(t)
			tail := &primary.Tail{Epoch: old, To: 1024, Terms: terms, Keys: map[string]primary.LastWrite{}}
			for i := range 1024 {
				if len(name) < 10_000 || i < 3 {
					tail.Keys[fmt.Sprintf("logical/u/%d%s", i, name)] = primary.LastWrite{Sequence: uint64(i + 1)}
				}
			}
			require.NoError(t, n.Put(t.Context(), replication.DR, former.Note{SetID: "set"}, tail))
			own, err := n.Beside(t.Context(), replication.DR, "set", promotedAt(0), false)
			require.NoError(t, err)
			require.Len(t, own.Writes, len(tail.Keys))
			for _, w := range own.Writes {
				require.Contains(t, tail.Keys, string(w.Key))
			}
		})
	}
	n := notes(t)
	require.NoError(t, n.Put(t.Context(), replication.DR, former.Note{SetID: "set"}, &primary.Tail{Epoch: old, To: 30,
		Terms: terms, Keys: map[string]primary.LastWrite{"logical/u/" + strings.Repeat("a", 100_000): {Sequence: 30}}}))
	own, err := n.Beside(t.Context(), replication.DR, "set", promotedAt(29), false)
	require.NoError(t, err)
	require.False(t, own.Exact, "what has no room in a row is not known")
}
