// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What is in an envelope: a header, and a body that is not looked at.
func FuzzSplit(f *testing.F) {
	call, err := join(&callHeader{Kind: KindRequest, Timeout: time.Second}, []byte("body"))
	require.NoError(f, err)
	answer, err := join(&answerHeader{Failed: true, ErrorKind: replication.Denied, Error: "no", Wrote: true, At: replication.Position{Term: 1, Sequence: 2}}, nil)
	require.NoError(f, err)
	corpus.Add(f, call, answer)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, header := range []any{new(callHeader), new(answerHeader)} {
			body, err := split(b, header)
			if err != nil {
				continue
			}
			require.LessOrEqual(t, len(body), len(b))
			again, err := join(header, body)
			require.NoError(t, err)
			same, err := split(again, header)
			require.NoError(t, err)
			require.Equal(t, body, same)
		}
	})
}
