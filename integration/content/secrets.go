// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/hashicorp/vault/api"
)

func mount(ctx context.Context, v *Vault, path string, input api.MountInput) error {
	return v.Root.Sys().MountWithContext(ctx, path, &input)
}

func loadKV1(ctx context.Context, v *Vault) error {
	if err := mount(ctx, v, "kv1", api.MountInput{Type: "kv", Description: "first"}); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("kv1/app/a", map[string]any{"user": "u", "number": 12345678901234})
	s.write("kv1/app/deep/er/b", map[string]any{"text": "ünïcode"})
	s.write("kv1/gone", map[string]any{"x": "y"})
	if s.err != nil {
		return s.err
	}
	_, err := v.Root.Logical().DeleteWithContext(ctx, "kv1/gone")
	return err
}

func readKV1(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.list("kv1")
	r.get("kv1/app/a")
	r.get("kv1/app/deep/er/b")
	return r.result()
}

func loadKV2(ctx context.Context, v *Vault) error {
	if err := mount(ctx, v, "kv2", api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		return err
	}
	kv := v.Root.KVv2("kv2")
	for version := 1; version <= 5; version++ {
		if _, err := kv.Put(ctx, "app/config", map[string]any{"version": fmt.Sprint(version)}); err != nil {
			return err
		}
	}
	if err := kv.DeleteVersions(ctx, "app/config", []int{2}); err != nil {
		return err
	}
	if err := kv.Destroy(ctx, "app/config", []int{1}); err != nil {
		return err
	}
	return kv.PutMetadata(ctx, "app/config", api.KVMetadataPutInput{
		MaxVersions: 10, CustomMetadata: map[string]any{"owner": "team"},
	})
}

func readKV2(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("kv2/config")
	r.list("kv2/metadata/app")
	r.get("kv2/metadata/app/config")
	out, err := r.result()
	if err != nil {
		return nil, err
	}
	kv := v.Root.KVv2("kv2")
	for _, version := range []int{3, 4, 5} {
		secret, err := kv.GetVersion(ctx, "app/config", version)
		if err != nil {
			return nil, err
		}
		out[fmt.Sprint("version ", version)] = secret.Data
	}
	return out, nil
}

const plaintext = "the quick brown fox"

func loadTransit(ctx context.Context, v *Vault) error {
	if err := mount(ctx, v, "transit", api.MountInput{Type: "transit"}); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("transit/keys/app", nil)
	text := map[string]any{"plaintext": base64.StdEncoding.EncodeToString([]byte(plaintext))}
	v.Notes["ciphertext v1"] = s.field(s.write("transit/encrypt/app", text), "ciphertext")
	s.write("transit/keys/app/rotate", nil)
	v.Notes["ciphertext v2"] = s.field(s.write("transit/encrypt/app", text), "ciphertext")
	s.write("transit/keys/signer", map[string]any{"type": "ed25519"})
	v.Notes["signature"] = s.field(s.write("transit/sign/signer", map[string]any{"input": text["plaintext"]}), "signature")
	return s.err
}

func readTransit(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("transit/keys/app")
	r.get("transit/keys/signer")
	for _, note := range []string{"ciphertext v1", "ciphertext v2"} {
		r.write("transit/decrypt/app", map[string]any{"ciphertext": v.Notes[note]})
		r.out[note] = r.out["write transit/decrypt/app"]
	}
	r.write("transit/verify/signer", map[string]any{
		"input": base64.StdEncoding.EncodeToString([]byte(plaintext)), "signature": v.Notes["signature"],
	})
	return r.result()
}

func loadPKI(ctx context.Context, v *Vault) error {
	if err := mount(ctx, v, "pki", api.MountInput{Type: "pki"}); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("pki/root/generate/internal", map[string]any{"common_name": "root.test", "ttl": "20h", "key_type": "ec",
		"key_bits": 256})
	s.write("pki/roles/web", map[string]any{"allowed_domains": "test", "allow_subdomains": true, "max_ttl": "10h",
		"key_type": "ec", "key_bits": 256})
	for _, name := range []string{"a", "b", "c"} {
		cert := s.write("pki/issue/web", map[string]any{"common_name": name + ".test", "ttl": "1h"})
		v.Notes["serial "+name] = s.field(cert, "serial_number")
	}
	s.write("pki/revoke", map[string]any{"serial_number": v.Notes["serial c"]})
	return s.err
}

func readPKI(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.list("pki/certs")
	r.list("pki/certs/revoked")
	r.get("pki/cert/ca")
	r.get("pki/roles/web")
	for _, name := range []string{"a", "b", "c"} {
		r.get("pki/cert/" + v.Notes["serial "+name])
	}
	return r.result()
}

func loadLocal(ctx context.Context, v *Vault) error {
	if err := mount(ctx, v, "localkv", api.MountInput{Type: "kv", Local: true}); err != nil {
		return err
	}
	s := &steps{ctx: ctx, client: v.Root}
	s.write("localkv/a", map[string]any{"stays": "here"})
	return s.err
}

func readLocal(ctx context.Context, v *Vault) (map[string]any, error) {
	r := newReads(ctx, v.Root)
	r.get("localkv/a")
	return r.result()
}
