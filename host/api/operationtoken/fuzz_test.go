// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// A key share as it comes in a request, by anyone.
func FuzzDecodeShare(f *testing.F) {
	corpus.Add(f, []byte(`"`+base64.StdEncoding.EncodeToString(make([]byte, shareMax))+`"`), []byte(`"00112233445566778899aabbccddeeff"`), []byte(`"\u0041"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var text secretText
		if json.Unmarshal(body, &text) != nil {
			return
		}
		share, err := decodeShare(text)
		if err == nil {
			require.GreaterOrEqual(t, len(share), shareMin)
			require.LessOrEqual(t, len(share), shareMax)
		}
	})
}
