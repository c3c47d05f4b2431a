// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

// What the primary has wrapped: an activation with all that a secondary takes into its
// own records, or an error that does not quote it.
func FuzzOpen(f *testing.F) {
	sample := samplePayload()
	sample.Version = sent.Version
	valid, err := json.Marshal(sample)
	require.NoError(f, err)
	corpus.Add(f, valid)
	sample.ID = strings.Repeat("ü", idMax)
	sealed, err := sample.Seal()
	require.NoError(f, err)
	_, err = Open(sealed)
	require.NoError(f, err, "which characters an id may have, the plugin decides")
	for _, change := range []func(p *Payload){
		func(p *Payload) { p.ID = strings.Repeat("x", idMax+1) },
		func(p *Payload) { p.ID = "a\nb" },
		func(p *Payload) { p.ClusterID = "" },
		func(p *Payload) { p.PairingKey = nil },
		func(p *Payload) { p.Version = -1 },
		func(p *Payload) { p.Bundle = make([]byte, payloadMax) },
	} {
		p := sample
		change(&p)
		raw, err := json.Marshal(p)
		require.NoError(f, err)
		f.Add(raw)
	}
	wrapped := func(raw []byte) map[string]any {
		return map[string]any{fieldPrefix + "0": base64.StdEncoding.EncodeToString(raw), "other": 1}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Open(wrapped(raw))
		if err != nil {
			require.Equal(t, replication.InvalidInput, replication.KindOf(err))
			return
		}
		require.LessOrEqual(t, len(raw), payloadMax)
		require.True(t, p.ID != "" && utf8.RuneCountInString(p.ID) <= idMax)
		require.True(t, p.ClusterID != "" && utf8.RuneCountInString(p.ClusterID) <= clusterIDMax)
		require.NotContains(t, p.ID+p.ClusterID, "\n")
		require.Len(t, p.PairingKey, pairingKeySize)
		sealed, err := p.Seal()
		require.NoError(t, err)
		same, err := Open(sealed)
		require.NoError(t, err)
		require.Equal(t, p, same)
	})
}
