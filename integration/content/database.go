// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// revokeLimit bounds the wait for leases that are being revoked.
const revokeLimit = time.Minute

func loadDatabase(ctx context.Context, v *Vault) error {
	if v.Database == nil {
		return nil
	}
	if err := mount(ctx, v, "db", api.MountInput{Type: "database"}); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("db/config/main", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": v.Database.URL(),
		"username": v.Database.Admin, "password": v.Database.Password,
	})
	s.write("db/roles/app", map[string]any{
		"db_name": "main", "default_ttl": "1h", "max_ttl": "4h",
		"creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`,
	})
	if s.err != nil {
		return s.err
	}
	// One lease belongs to root and one to an application. The application's lease has to
	// end with its token too.
	for _, owner := range []string{"root", "service"} {
		client := v.Root
		if owner == "service" {
			var err error
			if client, err = v.With(owner); err != nil {
				return err
			}
		}
		creds, err := client.Logical().ReadWithContext(ctx, "db/creds/app")
		if err != nil {
			return err
		}
		v.Notes["lease of "+owner] = creds.LeaseID
		v.Notes["db user of "+owner] = fmt.Sprint(creds.Data["username"])
		v.Notes["db password of "+owner] = fmt.Sprint(creds.Data["password"])
	}
	return nil
}

func readDatabase(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	if v.Database == nil {
		return r.result()
	}
	r.get("db/config/main")
	r.get("db/roles/app")
	for _, owner := range []string{"root", "service"} {
		r.write("sys/leases/lookup", map[string]any{"lease_id": v.Notes["lease of "+owner]}, "ttl", "last_renewal")
		r.out["lease of "+owner] = r.out["write sys/leases/lookup"]
		if r.err != nil {
			return r.result()
		}
		who, err := v.Database.Query(ctx, v.Notes["db user of "+owner], v.Notes["db password of "+owner],
			"select current_user")
		if err != nil {
			return nil, err
		}
		r.out["database knows the lease of "+owner] = who
	}
	return r.result()
}

// RevokeAll ends the leases and checks that the database has forgotten the users. A
// promoted cluster must be able to do what the leases are for.
func RevokeAll(ctx context.Context, v *Vault) error {
	if err := v.Root.Sys().RevokeWithContext(ctx, v.Notes["lease of root"]); err != nil {
		return err
	}
	if err := v.Root.Auth().Token().RevokeTreeWithContext(ctx, v.Notes["service"]); err != nil {
		return err
	}
	// Vault revokes the leases of a token after it has answered.
	ctx, cancel := context.WithTimeout(ctx, revokeLimit)
	defer cancel()
	return cluster.Wait(ctx, "the database has forgotten the users of revoked leases", func(ctx context.Context) error {
		left, err := v.Database.Query(ctx, v.Database.Admin, v.Database.Password, "select count(*) from pg_roles where "+
			"rolname like 'v-%'")
		if err != nil {
			return err
		}
		if left != "0" {
			return fmt.Errorf("%s of them are left", left)
		}
		return nil
	})
}
