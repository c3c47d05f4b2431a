// SPDX-License-Identifier: MPL-2.0

package filter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHides(t *testing.T) {
	t.Parallel()
	deny := &Filter{Rule: Rule{Mode: Deny, Paths: []string{"secret-us/", "auth/ldap/", "sys/"}}}
	allow := &Filter{Rule: Rule{Mode: Allow, Paths: []string{"secret-eu/"}}}
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
	f := &Filter{Rule: Rule{Mode: Deny, Paths: []string{"a/"}}}
	raw, err := f.Encode()
	require.NoError(t, err)
	got, err := Decode(raw)
	require.NoError(t, err)
	require.Equal(t, f, got)
	none, err := Decode(nil)
	require.NoError(t, err)
	require.Nil(t, none)
	for _, bad := range []string{"", "{", `{"mode":"block"}`, `{"mode":"deny","former":[{"mode":"block"}]}`} {
		_, err := Decode([]byte(bad))
		require.Error(t, err, bad)
	}
}

// A secondary that sees the first filter and the last one alone knows which mounts
// were left out in between.
func TestHidSince(t *testing.T) {
	t.Parallel()
	deny := func(paths ...string) Rule { return Rule{Mode: Deny, Paths: paths} }
	first := Following(nil, deny("a/"))
	second := Following(first, deny("b/", "sys/"))
	third := Following(second, deny("a/"))
	removed := Following(third, Rule{Mode: None})
	require.Equal(t, []uint64{0, 1, 2, 3, 4}, []uint64{(*Filter)(nil).Number(), first.Number(), second.Number(),
		third.Number(), removed.Number()})
	require.False(t, removed.Hides("a/"))
	for name, tc := range map[string]struct {
		now   *Filter
		since uint64
		want  string // the paths of those below that were hidden
	}{
		"the same":                     {third, 3, ""},
		"the next":                     {second, 1, ""},
		"first, second, first":         {third, 1, "b/"},
		"no filter at first":           {third, 0, "a/ b/"},
		"no filter at first, nor last": {removed, 0, "a/ b/"},
		"the last one removed":         {removed, 3, ""},
		"the record is gone":           {nil, 3, "a/ b/ c/"},
		"the record was made anew":     {first, 3, "a/ b/ c/"},
		"never a filter":               {nil, 0, ""},
	} {
		var hidden []string
		for _, path := range []string{"a/", "b/", "c/", "sys/"} {
			if tc.now.HidSince(tc.since, path) {
				hidden = append(hidden, path)
			}
		}
		require.Equal(t, tc.want, strings.Join(hidden, " "), name)
	}
}

// A record does not grow without bounds; what it does not know may have been.
func TestARecordKnowsTheLastFilters(t *testing.T) {
	t.Parallel()
	f := Following(nil, Rule{Mode: Deny, Paths: []string{"a/"}})
	for range 3 * mostFormer {
		f = Following(f, Rule{Mode: Deny, Paths: []string{"b/"}})
	}
	require.Len(t, f.Former, mostFormer)
	require.False(t, f.HidSince(f.Revision-mostFormer-1, "a/"), "the oldest that it knows is the next one")
	require.True(t, f.HidSince(f.Revision-mostFormer-2, "a/"))
}
