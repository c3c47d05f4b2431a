// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/api"
)

var tokenKinds = map[string]api.TokenCreateRequest{
	"service":  {Policies: []string{"reader"}, TTL: "2h", DisplayName: "svc", Metadata: map[string]string{"k": "v"}},
	"batch":    {Policies: []string{"reader"}, TTL: "2h", Type: "batch", NoParent: true},
	"periodic": {Policies: []string{"reader"}, Period: "3h"},
	"limited":  {Policies: []string{"reader"}, TTL: "2h", NumUses: 1000},
}

func loadTokens(ctx context.Context, v *Vault) error {
	for kind, request := range tokenKinds {
		secret, err := v.Root.Auth().Token().CreateWithContext(ctx, &request)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		v.Notes[kind] = secret.Auth.ClientToken
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("auth/token/roles/team", map[string]any{"allowed_policies": "reader", "orphan": true, "token_period": "1h"})
	if secret := s.write("auth/token/create/team", nil); secret != nil {
		v.Notes["of a role"] = secret.Auth.ClientToken
	}
	if s.err != nil {
		return s.err
	}
	service, err := v.With("service")
	if err != nil {
		return err
	}
	_, err = service.Logical().WriteWithContext(ctx, "cubbyhole/mine", map[string]any{"private": "yes"})
	return err
}

func readTokens(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("auth/token/roles/team")
	for _, note := range []string{"service", "batch", "periodic", "of a role"} {
		r.lookup(v, note)
	}
	// The look-up is a use itself, so the number differs each time.
	client, err := v.With("limited")
	if err != nil {
		return nil, err
	}
	r.keep("limited token", []string{"ttl", "num_uses", "last_renewal", "last_renewal_time"}, func() (*api.Secret, error) {
		return client.Auth().Token().LookupSelfWithContext(ctx)
	})
	service, err := v.With("service")
	if err != nil {
		return nil, err
	}
	r.keep("cubbyhole", nil,
		func() (*api.Secret, error) { return service.Logical().ReadWithContext(ctx, "cubbyhole/mine") })
	r.keep("what the service token may read", nil, func() (*api.Secret, error) {
		return service.Logical().ReadWithContext(ctx, "kv1/app/a")
	})
	if r.err == nil {
		if _, err := service.Logical().WriteWithContext(ctx, "kv1/app/a", map[string]any{"no": "no"}); err == nil {
			return nil, fmt.Errorf("the service token may write where its policy only reads")
		}
	}
	return r.result()
}
