// SPDX-License-Identifier: MPL-2.0

package filters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/shared/corpus"
)

var (
	deny   = &filter.Filter{Rule: filter.Rule{Mode: filter.Deny, Paths: []string{"secret/"}}}
	denyNo = &filter.Filter{Rule: filter.Rule{Mode: filter.Deny, Paths: []string{"other/"}}}
)

func TestReviewed(t *testing.T) {
	t.Parallel()
	type paths = map[string]string
	// The primary has filtered by deny for a while. The present record says so.
	was := filter.Following(nil, denyNo.Rule)
	between := filter.Following(filter.Following(was, deny.Rule), denyNo.Rule)
	for name, tc := range map[string]struct {
		old             *state
		filter          *filter.Filter
		hidden, visible paths
		awaited         []string
		widened         bool
	}{
		"first of all": {nil, deny, paths{"s": "secret/"}, paths{"k": "kv/"}, nil, false},
		"nothing changes": {&state{filter: deny, hidden: setOf([]string{"s"})}, deny,
			paths{"s": "secret/"}, paths{"k": "kv/"}, nil, false},
		"narrower": {&state{filter: denyNo}, deny, paths{"s": "secret/"}, paths{"k": "kv/"},
			nil, false},
		"wider": {&state{filter: deny, hidden: setOf([]string{"s"})}, denyNo, nil,
			paths{"s": "secret/", "k": "kv/"}, []string{"s"}, true},
		"deleted": {&state{filter: deny, hidden: setOf([]string{"s"})}, nil, nil,
			paths{"s": "secret/", "k": "kv/"}, []string{"s"}, true},
		"moved to where nothing hides it": {&state{filter: deny, hidden: setOf([]string{"s"})}, deny, nil,
			paths{"s": "moved/"}, []string{"s"}, true},
		"comes with the filter that lets it in": {&state{filter: deny}, denyNo, nil, paths{"s": "secret/", "k": "kv/"},
			[]string{"s"}, true},
		"a filter in between was not seen": {&state{id: "b", filter: was}, between, nil,
			paths{"s": "secret/", "k": "kv/"}, []string{"s"}, true},
		"a filter in between, of another name": {&state{id: "a", filter: was}, between, nil,
			paths{"s": "secret/", "k": "kv/"}, nil, false},
		"a filter in between that hides it still": {&state{id: "b", filter: was}, filter.Following(between, deny.Rule),
			paths{"s": "secret/"}, paths{"k": "kv/"}, nil, false},
		"still awaited": {&state{filter: denyNo, awaited: setOf([]string{"s"})}, denyNo, nil,
			paths{"s": "secret/", "k": "kv/"}, []string{"s"}, false},
		"awaited and hidden again": {&state{filter: denyNo, awaited: setOf([]string{"s"})}, deny,
			paths{"s": "secret/"}, paths{"k": "kv/"}, nil, false},
		"awaited and gone": {&state{filter: denyNo, awaited: setOf([]string{"s"})}, denyNo, nil,
			paths{"k": "kv/"}, nil, false},
	} {
		h, widened := reviewed(tc.old, "b", tc.filter, tc.hidden, tc.visible)
		require.Equal(t, tc.widened, widened, name)
		require.Equal(t, setOf(tc.awaited), h.awaited, name)
		require.Len(t, h.hidden, len(tc.hidden), name)
		raw, err := h.encode()
		require.NoError(t, err)
		again, err := decodeState(raw)
		require.NoError(t, err)
		require.True(t, again.sameAs(h), name)
	}
}

func TestWhatASecondaryDoesNotHave(t *testing.T) {
	t.Parallel()
	visible := map[string]string{"3": "kv/", "4": "pki/"}
	require.Empty(t, namesOfLacking(nil, visible, nil))
	hidden := map[string]string{"1": "secret/", "2": "auth/ldap/"}
	require.Equal(t, "auth/ldap/, secret/", namesOfLacking(hidden, visible, nil))
	require.Equal(t, "auth/ldap/, kv/, secret/", namesOfLacking(hidden, visible, map[string]bool{"3": true, "gone": true}))
}

// The record of how far a performance secondary has taken up its filter.
func FuzzDecodeHiding(f *testing.F) {
	h := &state{id: "west",
		filter: &filter.Filter{Rule: filter.Rule{Mode: filter.Deny, Paths: []string{"kv/"}, Revision: 4}},
		hidden: setOf([]string{"u"}), awaited: setOf([]string{"v"})}
	raw, err := h.encode()
	require.NoError(f, err)
	corpus.Add(f, raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := decodeState(raw)
		if err != nil {
			return
		}
		again, err := h.encode()
		require.NoError(t, err)
		same, err := decodeState(again)
		require.NoError(t, err)
		require.True(t, h.sameAs(same))
	})
}
