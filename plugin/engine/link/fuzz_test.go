// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Messages of the other cluster: what passes is within the bounds, and the same again.
func FuzzMessages(f *testing.F) {
	at := replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "a"}, Term: 2, Sequence: 9}
	for _, m := range []proto.Message{
		link.ToFrame(&replication.Frame{After: 7, To: at, ConsistentFrom: 8, Payload: []byte("x")}),
		link.ToRange(&replication.Range{After: "a", UpTo: "b", Keys: 1, Payload: []byte("x")}),
		link.ToCursor(&replication.Cursor{Position: at, Copying: true, CopyFrom: at, CopiedUpTo: "k", ConsistentFrom: 9}),
	} {
		raw, err := proto.Marshal(m)
		require.NoError(f, err)
		corpus.Add(f, raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var frame linkv1.Frame
		if proto.Unmarshal(raw, &frame) == nil {
			if got, err := link.FromFrame(&frame); err == nil {
				require.Greater(t, got.To.Sequence, got.After)
				same, err := link.FromFrame(link.ToFrame(got))
				require.NoError(t, err)
				require.Equal(t, got, same)
			}
		}
		var rng linkv1.Range
		if proto.Unmarshal(raw, &rng) == nil {
			if got, err := link.FromRange(&rng, rng.GetAfter()); err == nil {
				require.True(t, got.Last || strings.Compare(got.UpTo, got.After) > 0)
			}
		}
		var cursor linkv1.Cursor
		if proto.Unmarshal(raw, &cursor) == nil {
			if got, err := link.FromCursor(&cursor); err == nil {
				_, err := link.FromCursor(link.ToCursor(got))
				require.NoError(t, err)
			}
		}
		_, _ = link.FromFingerprint(raw)
	})
}
