// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Other shares are such that combine to something else, and such that were split otherwise.
func TestMarkOfKeySharesFitsThemAlone(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{1}, 32)
	own := &Shares{Key: key, Config: ShareConfig{Shares: 3, Threshold: 2}}
	m := &Material{Shares: key, ShareConfig: own.Config}
	mark := own.Mark()
	raw, err := mark.Encode()
	require.NoError(t, err)
	require.NotContains(t, string(raw), string(key))
	mark, err = DecodeSharesMark(raw)
	require.NoError(t, err)
	require.True(t, mark.Fits(own))
	require.True(t, m.Same(own))
	for name, other := range map[string]*Shares{
		"another key":       {Key: bytes.Repeat([]byte{2}, 32), Config: own.Config},
		"no key":            {Config: own.Config},
		"more shares":       {Key: key, Config: ShareConfig{Shares: 5, Threshold: 2}},
		"another threshold": {Key: key, Config: ShareConfig{Shares: 3, Threshold: 3}},
	} {
		require.False(t, mark.Fits(other), name)
		require.False(t, m.Same(other), name)
	}
	require.NotEqual(t, mark.Digest, own.Mark().Digest, "two marks tell nothing of each other")
	for name, raw := range map[string]string{"no JSON": "x", "nothing": "{}",
		"a short salt": `{"salt":"AAAA","digest":"AAAA"}`} {
		_, err := DecodeSharesMark([]byte(raw))
		require.Error(t, err, name)
	}
}
