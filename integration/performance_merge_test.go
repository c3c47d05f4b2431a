// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// The primary merges entities, and knows no alias of a secondary's local mount. Of two on one
// mount none is dropped: the secondary refuses the merge, as stock Vault does.
func TestMergeKeepsAliasesOfALocalMount(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	put(t, secondary, "sys/auth/here", map[string]any{"type": "userpass", "local": true})
	accessor := read(t, secondary, "sys/auth/here").Data["accessor"]
	entity := func(name string) string {
		t.Helper()
		id := fmt.Sprint(put(t, primary, "identity/entity", map[string]any{"name": name}).Data["id"])
		require.NoError(t, secondary.WaitCaughtUp(t.Context(), primary))
		return id
	}
	alias := func(entity, name string) string {
		t.Helper()
		return fmt.Sprint(put(t, secondary, "identity/entity-alias", map[string]any{"canonical_id": entity, "name": name,
			"mount_accessor": accessor}).Data["id"])
	}
	ann, bob, eve := entity("ann"), entity("bob"), entity("eve")
	anns, bobs := alias(ann, "ann"), alias(bob, "bob")
	refused := func(from []string, keep ...string) {
		t.Helper()
		_, err := client(secondary).WriteWithContext(t.Context(), "identity/entity/merge", map[string]any{
			"to_entity_id": ann, "from_entity_ids": from, "conflicting_alias_ids_to_keep": keep})
		var answer *api.ResponseError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, http.StatusBadRequest, answer.StatusCode)
		require.ErrorContains(t, err, anns)
		require.ErrorContains(t, err, bobs)
		require.Equal(t, ann, read(t, secondary, "identity/entity-alias/id/"+anns).Data["canonical_id"])
		require.Equal(t, bob, read(t, secondary, "identity/entity-alias/id/"+bobs).Data["canonical_id"])
		require.NotNil(t, read(t, primary, "identity/entity/id/"+bob))
	}
	refused([]string{bob})
	refused([]string{eve, bob})
	refused([]string{bob}, bobs)

	// Without a clash the alias goes with its entity.
	_, err := client(secondary).DeleteWithContext(t.Context(), "identity/entity-alias/id/"+anns)
	require.NoError(t, err)
	put(t, secondary, "identity/entity/merge", map[string]any{"to_entity_id": ann, "from_entity_ids": []string{bob, eve}})
	eventually(t, secondary, "identity/entity-alias/id/"+bobs, "canonical_id", ann)
}
