// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// What acts before it writes is not run here, and goes out as the client sent it.
func TestWhatActsFirstIsNotTriedHere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class, typ, path string
		op               logical.Operation
		local, atOnce    bool
	}{
		"bootstrap of ACLs":        {"secret", "consul", "config/access", logical.UpdateOperation, false, true},
		"of a local mount":         {"secret", "consul", "config/access", logical.UpdateOperation, true, false},
		"read of the same":         {"secret", "consul", "config/access", logical.ReadOperation, false, false},
		"other path":               {"secret", "consul", "roles/r", logical.UpdateOperation, false, false},
		"path that begins so":      {"secret", "consul", "config/access/x", logical.UpdateOperation, false, false},
		"other engine":             {"secret", "kv", "config/access", logical.UpdateOperation, false, false},
		"name of the other class":  {"auth", "consul", "config/access", logical.UpdateOperation, false, false},
		"nested name of a library": {"secret", "ldap", "library/a/b/check-in", logical.UpdateOperation, false, true},
		"managed one": {"secret", "openldap", "library/manage/a/b/check-in", logical.UpdateOperation, false,
			true},
		"end of a check-out":      {"secret", "ad", "library/a/check-out", logical.RevokeOperation, false, true},
		"check-out itself":        {"secret", "ad", "library/a/check-out", logical.UpdateOperation, false, false},
		"renewal of it":           {"secret", "ad", "library/a/check-out", logical.RenewOperation, false, false},
		"root of the auth method": {"auth", "aws", "config/rotate-root", logical.UpdateOperation, false, true},
		"root of the engine":      {"secret", "aws", "config/rotate-root", logical.UpdateOperation, false, false},
		// has the framework's flag
		"import of a key version": {"secret", "transit", "keys/k/import_version", logical.UpdateOperation, false, true},
		"encryption":              {"secret", "transit", "encrypt/k", logical.UpdateOperation, false, false},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ran := 0
			p := &primary{answer: remote("primary")}
			b := Options{Forwarder: p}.Wrap(vaultname.Mount{Path: "m/", Class: tt.class, Type: tt.typ, Local: tt.local},
				&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
					ran++
					return here()
				}})
			resp, err := b.HandleRequest(t.Context(), &logical.Request{Operation: tt.op, Path: tt.path,
				Data: map[string]any{"a": "b"}})
			require.NoError(t, err)
			if !tt.atOnce {
				require.Equal(t, "here", from(resp))
				require.Equal(t, 1, ran)
				require.Empty(t, p.got)
				return
			}
			require.Equal(t, "primary", from(resp))
			require.Zero(t, ran)
			require.Len(t, p.got, 1)
			require.Equal(t, tt.path, p.got[0].Logical.Path)
			require.Equal(t, map[string]any{"a": "b"}, p.got[0].Logical.Data)
		})
	}
}

func TestRowsOfWhatActsFirst(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for mount, rows := range ActFirst {
		for _, r := range rows {
			require.NotEmpty(t, r.Does, r.Pattern)
			require.NotEmpty(t, r.Operations, r.Pattern)
			for _, op := range r.Operations {
				row := mount + " " + r.Pattern + " " + string(op)
				require.False(t, seen[row], row)
				seen[row] = true
				require.True(t, ruleOf(op).forward, "%s: the primary would refuse it", row)
				require.True(t, ruleOf(op).writes, "%s: not every read writes", row)
			}
		}
	}
}
