// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"

	"github.com/hashicorp/vault/api"
)

func enableAuth(ctx context.Context, v *Vault, kind string) error {
	return v.Root.Sys().EnableAuthWithOptionsWithContext(ctx, kind, &api.EnableAuthOptions{Type: kind})
}

func loadUserpass(ctx context.Context, v *Vault) error {
	if err := enableAuth(ctx, v, "userpass"); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("auth/userpass/users/alice", map[string]any{"password": "wonderland", "token_policies": "reader"})
	if login := s.write("auth/userpass/login/alice", map[string]any{"password": "wonderland"}); login != nil {
		v.Notes["alice"] = login.Auth.ClientToken
	}
	return s.err
}

func readUserpass(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("auth/userpass/users/alice")
	r.lookup(v, "alice")
	r.login("auth/userpass/login/alice", map[string]any{"password": "wonderland"})
	return r.result()
}

func loadAppRole(ctx context.Context, v *Vault) error {
	if err := enableAuth(ctx, v, "approle"); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("auth/approle/role/app", map[string]any{"token_policies": "reader", "token_ttl": "30m", "secret_id_ttl": "2h"})
	secretID := s.write("auth/approle/role/app/secret-id", map[string]any{"metadata": `{"host":"one"}`})
	v.Notes["secret id"] = s.field(secretID, "secret_id")
	v.Notes["secret id accessor"] = s.field(secretID, "secret_id_accessor")
	if s.err != nil {
		return s.err
	}
	roleID, err := v.Root.Logical().ReadWithContext(ctx, "auth/approle/role/app/role-id")
	if err != nil {
		return err
	}
	v.Notes["role id"] = s.field(roleID, "role_id")
	login := s.write("auth/approle/login", map[string]any{"role_id": v.Notes["role id"],
		"secret_id": v.Notes["secret id"]})
	if login != nil {
		v.Notes["app"] = login.Auth.ClientToken
	}
	return s.err
}

func readAppRole(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("auth/approle/role/app")
	r.get("auth/approle/role/app/role-id")
	r.list("auth/approle/role/app/secret-id")
	r.write("auth/approle/role/app/secret-id-accessor/lookup",
		map[string]any{"secret_id_accessor": v.Notes["secret id accessor"]}, "last_updated_time")
	r.lookup(v, "app")
	r.login("auth/approle/login", map[string]any{"role_id": v.Notes["role id"], "secret_id": v.Notes["secret id"]})
	return r.result()
}

// lookup reads a remembered token as itself.
func (r *reads) lookup(v *Vault, note string) {
	client, err := v.With(note)
	if err != nil && r.err == nil {
		r.err = err
		return
	}
	r.keep("token of "+note, []string{"ttl", "last_renewal", "last_renewal_time"}, func() (*api.Secret, error) {
		return client.Auth().Token().LookupSelfWithContext(r.ctx)
	})
}

// login logs in again. The new token differs every time. Its owner and its rights do not.
func (r *reads) login(path string, data map[string]any) {
	if r.err != nil {
		return
	}
	secret, err := r.client.Logical().WriteWithContext(r.ctx, path, data)
	if err != nil {
		r.err = err
		return
	}
	r.out["login "+path] = map[string]any{
		"entity": secret.Auth.EntityID, "policies": secret.Auth.Policies, "metadata": secret.Auth.Metadata,
		"lease": secret.Auth.LeaseDuration, "renewable": secret.Auth.Renewable,
	}
}
