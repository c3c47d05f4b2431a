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
		&journal.Head{Reserved: 20, Terms: []journal.TermStart{{Term: 1 << 40, First: 1, Next: 9}, {Term: at.Term, First: 10}}},
		&journal.Slot{ID: "west", Acked: at, Opened: 12, Lost: "more than allowed", Cut: 2},
		&journal.Cursor{Position: at, Copying: true, CopyFrom: at, CopiedUpTo: []byte("logical/\xff"), CopyAsOf: 18},
	} {
		b, err := record.Encode()
		require.NoError(f, err)
		corpus.Add(f, b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := journal.DecodeHead(b); err == nil {
			again, err := h.Encode()
			require.NoError(t, err)
			same, err := journal.DecodeHead(again)
			require.NoError(t, err)
			require.Equal(t, h, same)
		}
		if s, err := journal.DecodeSlot(b); err == nil {
			again, err := s.Encode()
			require.NoError(t, err)
			same, err := journal.DecodeSlot(again)
			require.NoError(t, err)
			require.Equal(t, s, same)
		}
		if c, err := journal.DecodeCursor(b); err == nil {
			require.NotNil(t, c.Contract())
			again, err := c.Encode()
			require.NoError(t, err)
			_, err = journal.DecodeCursor(again)
			require.NoError(t, err)
		}
	})
}
