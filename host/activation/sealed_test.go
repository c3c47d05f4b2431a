// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestSealedToken(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key, err := NewKey()
	require.NoError(t, err)
	p := Payload{Mode: replication.DR, ID: "b", ClusterID: "set", Bundle: []byte("bundle"),
		PairingKey: make([]byte, pairingKeySize)}
	token, err := p.SealTo(" "+key.Public()+"\n", now.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, Sealed("\n"+token))
	require.False(t, Sealed("eyJhb"))
	require.False(t, Sealed("hvs.CAES"))

	raw, err := key.Bytes()
	require.NoError(t, err)
	stored, err := ParseKey(raw)
	require.NoError(t, err)
	got, err := stored.Open(token+"\n", replication.DR, now)
	require.NoError(t, err)
	p.Version = 1
	require.Equal(t, &p, got)

	other, err := NewKey()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key   Key
		token string
		mode  replication.Mode
		at    time.Time
		want  string
	}{
		"another key":  {other, token, replication.DR, now, "was not made for the public key"},
		"another mode": {key, token, replication.Performance, now, "for dr replication, not for performance"},
		"expired":      {key, token, replication.DR, now.Add(time.Hour), "expired"},
		"cut off":      {key, token[:len(token)-4], replication.DR, now, "cut off"},
		"changed":      {key, token[:40] + "AAAA" + token[44:], replication.DR, now, "was not made for"},
		"no base64":    {key, sealedPrefix + "?", replication.DR, now, "not valid base64"},
		"empty":        {key, sealedPrefix, replication.DR, now, "was not made for"},
		"too long":     {key, sealedPrefix + strings.Repeat("A", sealedMax), replication.DR, now, "longer than"},
	} {
		got, err := c.key.Open(c.token, c.mode, c.at)
		require.ErrorContains(t, err, c.want, name)
		require.Nil(t, got, name)
		require.NotContains(t, err.Error(), token[len(sealedPrefix):len(sealedPrefix)+20], name)
		require.Contains(t, []replication.Kind{replication.InvalidInput, replication.Denied}, replication.KindOf(err), name)
	}
	for _, bad := range []string{"", "x", "AAAA", key.Public()[4:], strings.Repeat("A", 1<<20)} {
		require.ErrorContains(t, CheckPublicKey(bad), "is not a key")
	}
	_, err = ParseKey([]byte("short"))
	require.Error(t, err)
}

// What is no activation token is called so, and not one without an address.
func TestWrappingTokenWithoutAnAddress(t *testing.T) {
	t.Parallel()
	_, _, spent, err := new(Client).Fetch(t.Context(), Request{Mode: replication.DR, Token: "hvs.abc"})
	require.False(t, spent)
	require.ErrorContains(t, err, "is not an activation token")
}
