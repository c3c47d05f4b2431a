// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
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
		"local mount":   {KindEnsure, `{"accessor":"here","type":"userpass","name":"bob"}`, "local to the primary"},
		"unknown mount": {KindEnsure, `{"accessor":"x","type":"userpass","name":"bob"}`, "no auth mount"},
		"other type":    {KindEnsure, `{"accessor":"acc","type":"ldap","name":"bob"}`, "of type"},
		"no type":       {KindEnsure, `{"accessor":"acc","name":"bob"}`, "needs a name"},
		"no name":       {KindEnsure, `{"accessor":"acc","type":"userpass"}`, "needs a name"},
		"unknown field": {KindEnsure, `{"accessor":"acc","type":"userpass","name":"bob","policies":["root"]}`,
			"not understood"},
		"no entity":            {KindGroups, `{"accessor":"acc"}`, "entity is missing"},
		"groups, local mount":  {KindGroups, `{"entity_id":"e","accessor":"here","aliases":["g"]}`, "local to the primary"},
		"groups without mount": {KindGroups, `{"entity_id":"e","accessor":"","aliases":["g"]}`, "no auth mount"},
		"no group":             {KindMembers, `{"add":["e"]}`, "group is missing"},
		"no JSON":              {KindCreate, `x`, "not understood"},
		"filtered mount":       {KindEnsure, `{"accessor":"hidden","type":"userpass","name":"bob"}`, "no auth mount"},
		"its groups":           {KindGroups, `{"entity_id":"e","accessor":"hidden","aliases":["g"]}`, "no auth mount"},
		"to leave its groups":  {KindGroups, `{"entity_id":"in-hidden","accessor":"hidden"}`, "no auth mount"},
		"to leave all groups":  {KindGroups, `{"entity_id":"in-hidden","accessor":""}`, "no auth mount"},
		"member of its group":  {KindMembers, `{"group_id":"hidden:admins","add":["e"]}`, "no auth mount"},
		"group, local mount":   {KindMembers, `{"group_id":"here:admins","add":["e"]}`, "local to the primary"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newIdentities()
			store.groups["in-hidden"] = []string{"hidden:admins"}
			log := &audit{}
			server := NewServer(ServerOptions{Store: store, Audit: log,
				Allowed: func(id, uuid string) bool { return id == "eu" && uuid != "uuid-hidden" }})
			raw, err := server.Handlers()[tt.kind](t.Context(), "eu", []byte(tt.body))
			require.NoError(t, err)
			var answer Entity
			require.NoError(t, strictjson.Decode(raw, &answer))
			require.Contains(t, answer.Refused, tt.want)
			require.Zero(t, store.entities)
			require.Equal(t, map[string][]string{"in-hidden": {"hidden:admins"}}, store.groups)
			if !strings.Contains(tt.want, "not understood") {
				require.Len(t, log.entries, 2)
				require.ErrorContains(t, log.entries[1].Response.Error(), tt.want)
			}
		})
	}
}

// The primary's audit log has what it changes for a secondary, with who asked, for what,
// and the result. What cannot be written there is not done.
func TestServerAudits(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		KindEnsure:  `{"accessor":"acc","type":"userpass","name":"bob","groups":["dev"],"refresh_groups":true}`,
		KindCreate:  `{}`,
		KindGroups:  `{"entity_id":"e","accessor":"acc","aliases":["dev"]}`,
		KindMembers: `{"group_id":"acc:dev","add":["e"]}`,
	}
	for kind, body := range bodies {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			store, log := newIdentities(), &audit{}
			server := func() Handler { return NewServer(ServerOptions{Store: store, Audit: log}).Handlers()[kind] }
			raw, err := server()(t.Context(), "eu", []byte(body))
			require.NoError(t, err)
			var answer Entity
			require.NoError(t, strictjson.Decode(raw, &answer))
			require.Empty(t, answer.Refused)
			require.Len(t, log.entries, 2)
			request, response := log.entries[0], log.entries[1]
			require.Equal(t, AuditPath+kind, request.Request.Path)
			require.Equal(t, "eu", request.Request.ReplicationCluster)
			require.NotEmpty(t, request.Request.ID)
			require.Nil(t, request.Response)
			require.Equal(t, request.Request.ID, response.Request.ID)
			require.NoError(t, response.OuterErr)
			if answer.ID != "" {
				require.Equal(t, answer.ID, response.Response.Data["entity_id"])
			}
			if kind == KindEnsure {
				require.Equal(t, "bob", request.Request.Data["name"])
				require.Equal(t, []any{"dev"}, request.Request.Data["groups"])
			}

			entities, groups := store.entities, maps.Clone(store.groups)
			log = &audit{failAt: 1}
			_, err = server()(t.Context(), "eu", []byte(body))
			require.Equal(t, replication.Unavailable, replication.KindOf(err))
			require.Equal(t, entities, store.entities, "what cannot be audited is not done")
			require.Equal(t, groups, store.groups)

			log = &audit{failAt: 2}
			raw, err = server()(t.Context(), "eu", []byte(body))
			require.Equal(t, replication.Uncertain, replication.KindOf(err))
			require.Nil(t, raw, "the answer is withheld")
		})
	}
}

// A failure of the store is in the audit log as an error of the request.
func TestServerAuditsWhatFails(t *testing.T) {
	t.Parallel()
	log, failed := &audit{}, errors.New("storage is full")
	store := &failing{newIdentities(), failed}
	_, err := NewServer(ServerOptions{Store: store, Audit: log}).Handlers()[KindCreate](t.Context(), "eu", []byte(`{}`))
	require.ErrorIs(t, err, failed)
	require.ErrorIs(t, log.entries[1].OuterErr, failed)
}

type failing struct {
	*identities
	err error
}

func (f *failing) CreateEntity(context.Context) (string, []byte, error) { return "", nil, f.err }

func TestMessagesKeepWhatTheyCarry(t *testing.T) {
	t.Parallel()
	in := Ensure{Accessor: "a", Type: "t", Name: "ñ\"", Metadata: map[string]string{"k": "<v>"}, Groups: []string{"g"},
		Refresh: true}
	var out Ensure
	require.NoError(t, strictjson.Decode(encode(in), &out))
	require.Equal(t, in, out)
	var e Entity
	require.NoError(t, strictjson.Decode(encode(Entity{ID: "x", Stored: []byte{0, 255}}), &e))
	require.Equal(t, []byte{0, 255}, e.Stored)
	require.False(t, errors.As(unavailable(refusal{"no"}), new(interface{ Code() int })))
}
