// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestParseAcceptsBothForms(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"jwt":              jwt(map[string]any{"addr": "https://a:8200"}),
		"jwt with spaces":  " " + jwt(map[string]any{"addr": "https://a:8200"}) + "\n",
		"within leeway":    jwt(map[string]any{"addr": "https://a:8200", "exp": time.Now().Add(-20 * time.Second).Unix()}),
		"fraction in time": jwt(map[string]any{"addr": "https://a:8200", "exp": float64(time.Now().Unix()) + 3600.5}),
	} {
		token, err := Parse(raw, time.Now())
		require.NoError(t, err, name)
		require.Equal(t, "https://a:8200", token.Addr, name)
		require.Equal(t, strings.TrimSpace(raw), token.raw, name)
	}
	token, err := Parse("hvs.CAESIJ-_abc", time.Now())
	require.NoError(t, err)
	require.Empty(t, token.Addr)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := jwt(nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for name, c := range map[string]struct {
		raw  string
		kind replication.Kind
	}{
		"empty":               {"  ", replication.InvalidInput},
		"expired":             {jwt(map[string]any{"exp": time.Now().Add(-31 * time.Second).Unix()}), replication.Denied},
		"no expiry":           {jwt(map[string]any{"exp": nil}), replication.InvalidInput},
		"expiry not a number": {jwt(map[string]any{"exp": "soon"}), replication.InvalidInput},
		"expiry absurd":       {jwt(map[string]any{"exp": 1e300}), replication.InvalidInput},
		"no id":               {jwt(map[string]any{"jti": nil}), replication.InvalidInput},
		"empty id":            {jwt(map[string]any{"jti": ""}), replication.InvalidInput},
		"no type":             {jwt(map[string]any{"type": nil}), replication.InvalidInput},
		"other type":          {jwt(map[string]any{"type": "plugin"}), replication.InvalidInput},
		"address not text":    {jwt(map[string]any{"addr": 7}), replication.InvalidInput},
		"two parts":           {parts[0] + "." + parts[1], replication.InvalidInput},
		"cut in the body":     {good[:len(parts[0])+20], replication.InvalidInput},
		"cut signature":       {good[:len(good)-5], replication.InvalidInput},
		"no signature":        {parts[0] + "." + parts[1] + ".", replication.InvalidInput},
		"algorithm none":      {none + "." + parts[1] + "." + parts[2], replication.InvalidInput},
		"not base64":          {"eyJ*." + parts[1] + "." + parts[2], replication.InvalidInput},
		"over-long":           {good + strings.Repeat("A", jwtMax), replication.InvalidInput},
		"over-long bare":      {"hvs." + strings.Repeat("A", bareMax), replication.InvalidInput},
		"quoted":              {`"hvs.abc"`, replication.InvalidInput},
		"line break inside":   {"hvs.ab\ncd", replication.InvalidInput},
	} {
		_, err := Parse(c.raw, time.Now())
		require.Error(t, err, name)
		require.Equal(t, c.kind, replication.KindOf(err), name)
		if len(c.raw) > 40 {
			require.NotContains(t, err.Error(), c.raw[:40], name)
		}
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	data, err := samplePayload().Seal()
	require.NoError(t, err)
	require.Len(t, data, 1)
	again, err := samplePayload().Seal()
	require.NoError(t, err)
	for name := range data {
		require.NotContains(t, again, name, "the field's name must not be one that can be exempted from the audit log's HMAC")
	}
	p, err := Open(data)
	require.NoError(t, err)
	want := samplePayload()
	want.Version = sent.Version
	require.Equal(t, &want, p)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	enc := func(s string) map[string]any {
		return map[string]any{fieldPrefix + "x": base64.StdEncoding.EncodeToString([]byte(s))}
	}
	for name, data := range map[string]map[string]any{
		"nothing":       {},
		"other data":    {"token": "x"},
		"two":           {fieldPrefix + "a": "e30=", fieldPrefix + "b": "e30="},
		"not base64":    {fieldPrefix + "a": "*"},
		"not JSON":      enc("x"),
		"other version": enc(`{"version":2,"mode":"dr","id":"a","bundle":"eA=="}`),
		"unknown mode":  enc(`{"version":1,"mode":"x","id":"a","bundle":"eA=="}`),
		"no bundle":     enc(`{"version":1,"mode":"dr","id":"a"}`),
		"over-long":     {fieldPrefix + "a": strings.Repeat("A", 2*payloadMax)},
	} {
		_, err := Open(data)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), name)
	}
}
