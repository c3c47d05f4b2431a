// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Anyone can send a key share in a request.
func FuzzDecodeShare(f *testing.F) {
	corpus.Add(f, []byte(`"`+base64.StdEncoding.EncodeToString(make([]byte, shareMax))+`"`),
		[]byte(`"00112233445566778899aabbccddeeff"`), []byte(`"\u0041"`))
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

// What is stored of a token: no damaged record is one that a token could match.
func FuzzDecodeRecord(f *testing.F) {
	hash := sha256.Sum256([]byte("dro.token"))
	data, err := json.Marshal(record{Hash: hash[:]})
	require.NoError(f, err)
	corpus.Add(f, data, []byte(`{"sha256":"AAAA"}`), []byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		hash, err := decodeRecord(data)
		if err != nil {
			require.Equal(t, replication.Internal, replication.KindOf(err))
			require.Zero(t, hash)
			return
		}
		require.LessOrEqual(t, len(data), recordMax)
		again, err := json.Marshal(record{Hash: hash[:]})
		require.NoError(t, err)
		same, err := decodeRecord(again)
		require.NoError(t, err)
		require.Equal(t, hash, same)
	})
}

// The bodies of requests, by anyone: refused without a word of what is in them.
func FuzzReadBody(f *testing.F) {
	corpus.Add(f, []byte(`{"otp":"a","pgp_key":"b"}`), []byte(`{"nonce":"n","key":"c2hhcmU="}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{new(initRequest), new(updateRequest)} {
			r := httptest.NewRequest(http.MethodPost, UpdatePath, bytes.NewReader(body))
			got, err := readBody(httptest.NewRecorder(), r, into, false)
			require.LessOrEqual(t, len(got), bodyMax)
			if err == nil {
				require.True(t, json.Valid(body))
				continue
			}
			require.Equal(t, replication.InvalidInput, replication.KindOf(err))
			require.NotContains(t, err.Error(), "c2hhcmU")
		}
	})
}
