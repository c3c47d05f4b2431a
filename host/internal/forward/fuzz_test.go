// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"reflect"
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
	answer, err := join(&answerHeader{Failed: true, ErrorKind: replication.Denied, Error: "no", Wrote: true,
		At: replication.Position{Term: 1, Sequence: 2}}, nil)
	require.NoError(f, err)
	// A time that is over has no number: it would be no bound at all.
	over, err := join(&callHeader{Kind: KindRequest, Timeout: -1}, nil)
	require.NoError(f, err)
	corpus.Add(f, call, answer, over)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, header := range []any{new(callHeader), new(answerHeader)} {
			body, err := split(b, header)
			if err != nil {
				continue
			}
			require.LessOrEqual(t, len(body), len(b))
			if call, ok := header.(*callHeader); ok {
				require.GreaterOrEqual(t, call.Timeout, time.Duration(0))
			}
			again, err := join(header, body)
			require.NoError(t, err)
			fresh := reflect.New(reflect.TypeOf(header).Elem()).Interface()
			same, err := split(again, fresh)
			if err != nil {
				require.Greater(t, len(again), len(b), "it was within the bounds")
				continue
			}
			require.Equal(t, body, same)
			require.Equal(t, header, fresh)
		}
	})
}
