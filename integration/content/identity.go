// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"
)

func loadIdentity(ctx context.Context, v *Vault) error {
	auths, err := v.Root.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return err
	}
	accessor := auths["userpass/"].Accessor
	s := &steps{ctx: ctx, client: v.Root}
	entity := s.field(s.write("identity/entity", map[string]any{
		"name": "bob", "policies": "reader", "metadata": map[string]any{"team": "blue"},
	}), "id")
	s.write("identity/entity-alias", map[string]any{"name": "bob", "canonical_id": entity, "mount_accessor": accessor})
	s.write("auth/userpass/users/bob", map[string]any{"password": "builder"})
	s.write("identity/group", map[string]any{"name": "builders", "member_entity_ids": []string{entity},
		"policies": "writer"})
	external := s.field(s.write("identity/group", map[string]any{"name": "outside", "type": "external",
		"policies": "reader"}), "id")
	s.write("identity/group-alias", map[string]any{"name": "outside-alias", "canonical_id": external,
		"mount_accessor": accessor})
	return s.err
}

func readIdentity(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.list("identity/entity/name")
	r.get("identity/entity/name/bob")
	r.get("identity/group/name/builders")
	r.get("identity/group/name/outside")
	// The policies of the login show that alias, entity and group hold together.
	r.login("auth/userpass/login/bob", map[string]any{"password": "builder"})
	return r.result()
}
