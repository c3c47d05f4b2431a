// SPDX-License-Identifier: MPL-2.0

package journal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The records of journal, slots and cursors: what is read is the same again.
func FuzzDecodeRecords(f *testing.F) {
	at := replication.Position{Epoch: replication.Epoch{Generation: 2, ID: "e"}, Term: 3 << 40, Sequence: 17}
	for _, record := range []interface{ Encode() ([]byte, error) }{
		&journal.Head{Reserved: 20, Terms: []journal.TermStart{{Term: 1 << 40, First: 1, Next: 9},
			{Term: at.Term, First: 10}}},
		&journal.Slot{ID: "west", Acked: at, Opened: 12, Lost: "more than allowed", Cut: 2, Heard: 9},
		&journal.Cursor{Position: at, Copying: true, CopyFrom: at, CopiedUpTo: []byte("logical/\xff"), CopyAsOf: 18},
	} {
		b, err := record.Encode()
		require.NoError(f, err)
		corpus.Add(f, b)
	}
	corpus.Add(f, []byte(`{"version":1,"id":"west","cut":-1}`), []byte(`{"version":1,"reserved":-1}`))
	crowd := &journal.Head{Marks: make(journal.Marks, journal.MarksMax+1)}
	b, err := crowd.Encode()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := journal.DecodeHead(b); err == nil {
			require.LessOrEqual(t, len(h.Marks), journal.MarksMax)
			again, err := h.Encode()
			require.NoError(t, err)
			same, err := journal.DecodeHead(again)
			require.NoError(t, err)
			require.Equal(t, h, same)
		}
		if s, err := journal.DecodeSlot(b); err == nil {
			require.NotEmpty(t, s.ID)
			require.GreaterOrEqual(t, s.Cut, 0, "it is a number of bits to shift by")
			again, err := s.Encode()
			require.NoError(t, err)
			same, err := journal.DecodeSlot(again)
			require.NoError(t, err)
			require.Equal(t, s, same)
		}
		if c, err := journal.DecodeCursor(b); err == nil {
			require.LessOrEqual(t, len(c.CopiedUpTo), journal.MaxKey)
			again, err := c.Encode()
			require.NoError(t, err)
			same, err := journal.DecodeCursor(again)
			require.NoError(t, err)
			require.Equal(t, c.Contract(), same.Contract())
		}
	})
}
