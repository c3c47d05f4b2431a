// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"

	"github.com/hashicorp/vault/api"
)

func loadAudit(ctx context.Context, v *Vault) error {
	return v.Root.Sys().EnableAuditWithOptionsWithContext(ctx, "file", &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": v.AuditFile},
	})
}

func readAudit(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("sys/audit")
	// The salt of the device decides the hash: it must be the same salt.
	r.write("sys/audit-hash/file", map[string]any{"input": "something"})
	return r.result()
}

func loadPolicies(ctx context.Context, v *Vault) error {
	for name, rules := range map[string]string{
		"reader": `path "kv1/*" { capabilities = ["read", "list"] }
path "kv2/*" { capabilities = ["read", "list"] }
path "db/creds/*" { capabilities = ["read"] }`,
		"writer": `path "kv1/*" { capabilities = ["create", "update"] }`,
	} {
		if err := v.Root.Sys().PutPolicyWithContext(ctx, name, rules); err != nil {
			return err
		}
	}
	return nil
}

func readPolicies(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.list("sys/policies/acl")
	r.get("sys/policies/acl/reader")
	r.get("sys/policies/acl/writer")
	r.get("sys/policies/acl/default")
	return r.result()
}

func loadRotation(ctx context.Context, v *Vault) error {
	if err := v.Root.Sys().RotateWithContext(ctx); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("kv1/after-rotation", map[string]any{"term": "new"})
	return s.err
}

func readRotation(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("sys/key-status", "encryptions")
	r.get("kv1/after-rotation")
	return r.result()
}

func loadPasswordPolicy(ctx context.Context, v *Vault) error {
	s := &steps{ctx: ctx, client: v.Root}
	s.write("sys/policies/password/strict", map[string]any{"policy": `length = 24
rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz0123456789" }`})
	return s.err
}

func readPasswordPolicy(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.list("sys/policies/password")
	r.get("sys/policies/password/strict")
	return r.result()
}

func loadQuota(ctx context.Context, v *Vault) error {
	s := &steps{ctx: ctx, client: v.Root}
	s.write("sys/quotas/rate-limit/calm", map[string]any{"path": "kv1/", "rate": 5000})
	return s.err
}

func readQuota(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.list("sys/quotas/rate-limit")
	r.get("sys/quotas/rate-limit/calm")
	return r.result()
}

func readMounts(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("sys/mounts")
	r.get("sys/auth")
	return r.result()
}
