// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"encoding/json"
	"fmt"
)

// The kinds of calls from a secondary to its primary. Bodies and answers are JSON.
const (
	// KindEnsure makes an entity, its alias and its external groups what a login
	// wants: [Ensure], answered by [Entity].
	KindEnsure = "entity/ensure"
	// KindCreate makes an empty entity: no body, answered by [Entity].
	KindCreate = "entity/create"
	// KindGroups makes the external groups of an entity what a renewal wants: [Groups].
	KindGroups = "groups/refresh"
	// KindMembers changes the members of one external group: [Members].
	KindMembers = "groups/members"
)

// Ensure is an alias of a shared auth mount as a login brought it.
type Ensure struct {
	Accessor string            `json:"accessor"`
	Type     string            `json:"type"`
	Name     string            `json:"name"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Custom   map[string]string `json:"custom_metadata,omitempty"`
	// Groups are the names of the group aliases on the same mount. They count only
	// with Refresh: a token's entity_alias says nothing about groups.
	Groups  []string `json:"groups,omitempty"`
	Refresh bool     `json:"refresh_groups,omitempty"`
}

// Groups are the group aliases that a login or renewal brought for an entity.
type Groups struct {
	EntityID string `json:"entity_id"`
	// Accessor is the auth mount's; empty when the token knows none.
	Accessor string   `json:"accessor"`
	Aliases  []string `json:"aliases,omitempty"`
}

// Members is a change of an external group.
type Members struct {
	GroupID string   `json:"group_id"`
	Add     []string `json:"add,omitempty"`
	Remove  []string `json:"remove,omitempty"`
}

// Entity answers every kind of call.
type Entity struct {
	ID string `json:"id,omitempty"`
	// Stored is the entity as the primary stored it, for KindCreate.
	Stored []byte `json:"stored,omitempty"`
	// Refused is one sentence on why the primary did nothing. It is not an outage: asking
	// again does not help.
	Refused string `json:"refused,omitempty"`
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// Strings, maps of strings and bytes cannot fail.
		panic(fmt.Sprintf("entity: encoding of a %T: %v", v, err))
	}
	return b
}
