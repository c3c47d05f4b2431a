// SPDX-License-Identifier: MPL-2.0

package strictjson_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/strictjson"
)

func TestNothingIsPassedOver(t *testing.T) {
	t.Parallel()
	var into struct{ A int }
	require.NoError(t, strictjson.Decode([]byte("{\"A\":1}\n"), &into))
	require.Equal(t, 1, into.A)
	for _, raw := range []string{"", "{", `{"A":1,"B":2}`, `{"A":1}{}`, `{"A":1} x`, `{"A":"1"}`} {
		require.Error(t, strictjson.Decode([]byte(raw), &into), raw)
	}
}
