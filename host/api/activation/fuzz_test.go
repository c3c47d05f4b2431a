// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What an operator pastes: it is a token or one of two kinds of error, which never
// quotes it.
func FuzzParse(f *testing.F) {
	part := base64.RawURLEncoding.EncodeToString
	jwt := strings.Join([]string{
		part([]byte(`{"alg":"ES512","typ":"JWT"}`)),
		part([]byte(`{"accessor":"","addr":"https://127.0.0.1:8200","exp":4102444800,"iat":1,"jti":"hvs.CAESI","nbf":1,"type":"wrapping"}`)),
		part(make([]byte, 132)),
	}, ".")
	corpus.Add(f, []byte(jwt), []byte("hvs.CAESIabcdefgh"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		token, err := Parse(string(raw), time.Unix(1<<31, 0))
		if err != nil {
			require.Contains(t, []replication.Kind{replication.InvalidInput, replication.Denied}, replication.KindOf(err))
			return
		}
		require.NotNil(t, token)
		require.LessOrEqual(t, len(strings.TrimSpace(string(raw))), jwtMax)
	})
}
