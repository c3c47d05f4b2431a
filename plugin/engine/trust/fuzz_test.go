// SPDX-License-Identifier: MPL-2.0

package trust_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The stored authority of a set.
func FuzzDecodeAuthority(f *testing.F) {
	a, err := trust.NewAuthority(replication.DR, setID, "https://127.0.0.1:8201", time.Now())
	require.NoError(f, err)
	data, err := a.Encode()
	require.NoError(f, err)
	corpus.Add(f, data)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := trust.DecodeAuthority(data)
		if err != nil {
			return
		}
		again, err := a.Encode()
		require.NoError(t, err)
		_, err = trust.DecodeAuthority(again)
		require.NoError(t, err)
	})
}
