// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitLong = 20 * time.Second
	waitStep = time.Millisecond
)

func TestServerRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind, body, want string
	}{
		"local mount":          {KindEnsure, `{"accessor":"here","type":"userpass","name":"bob"}`, "local to the primary"},
		"unknown mount":        {KindEnsure, `{"accessor":"x","type":"userpass","name":"bob"}`, "no auth mount"},
		"other type":           {KindEnsure, `{"accessor":"acc","type":"ldap","name":"bob"}`, "of type"},
		"no type":              {KindEnsure, `{"accessor":"acc","name":"bob"}`, "needs a name"},
		"no name":              {KindEnsure, `{"accessor":"acc","type":"userpass"}`, "needs a name"},
		"unknown field":        {KindEnsure, `{"accessor":"acc","type":"userpass","name":"bob","policies":["root"]}`, "not understood"},
		"no entity":            {KindGroups, `{"accessor":"acc"}`, "entity is missing"},
		"groups, local mount":  {KindGroups, `{"entity_id":"e","accessor":"here","aliases":["g"]}`, "local to the primary"},
		"groups without mount": {KindGroups, `{"entity_id":"e","accessor":"","aliases":["g"]}`, "no auth mount"},
		"no group":             {KindMembers, `{"add":["e"]}`, "group is missing"},
		"no JSON":              {KindCreate, `x`, "not understood"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newIdentities()
			raw, err := NewServer(store).Handlers()[tt.kind](t.Context(), []byte(tt.body))
			require.NoError(t, err)
			var answer Entity
			require.NoError(t, decode(raw, &answer))
			require.Contains(t, answer.Refused, tt.want)
			require.Zero(t, store.entities)
			require.Empty(t, store.groups)
		})
	}
}

func TestMessagesKeepWhatTheyCarry(t *testing.T) {
	t.Parallel()
	in := Ensure{Accessor: "a", Type: "t", Name: "ñ\"", Metadata: map[string]string{"k": "<v>"}, Groups: []string{"g"}, Refresh: true}
	var out Ensure
	require.NoError(t, decode(encode(in), &out))
	require.Equal(t, in, out)
	var e Entity
	require.NoError(t, decode(encode(Entity{ID: "x", Stored: []byte{0, 255}}), &e))
	require.Equal(t, []byte{0, 255}, e.Stored)
	require.False(t, errors.As(unavailable(refusal{"no"}), new(interface{ Code() int })))
}
