// SPDX-License-Identifier: MPL-2.0

package filter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHides(t *testing.T) {
	t.Parallel()
	deny := &Filter{Mode: Deny, Paths: []string{"secret-us/", "auth/ldap/", "sys/"}}
	allow := &Filter{Mode: Allow, Paths: []string{"secret-eu/"}}
	for path, want := range map[string][2]bool{
		"secret-us/":   {true, true},
		"secret-eu/":   {false, false},
		"auth/ldap/":   {true, true},
		"auth/github/": {false, true},
		"sys/":         {false, false},
		"identity/":    {false, false},
		"auth/token/":  {false, false},
		"cubbyhole/":   {false, false},
	} {
		require.Equal(t, want[0], deny.Hides(path), "deny %s", path)
		require.Equal(t, want[1], allow.Hides(path), "allow %s", path)
		require.False(t, (*Filter)(nil).Hides(path), "no filter %s", path)
	}
}

func TestStoredForm(t *testing.T) {
	t.Parallel()
	f := &Filter{Mode: Deny, Paths: []string{"a/"}}
	raw, err := f.Encode()
	require.NoError(t, err)
	got, err := Decode(raw)
	require.NoError(t, err)
	require.Equal(t, f, got)
	none, err := Decode(nil)
	require.NoError(t, err)
	require.Nil(t, none)
	for _, bad := range []string{"", "{", `{"mode":"block"}`} {
		_, err := Decode([]byte(bad))
		require.Error(t, err, bad)
	}
}
