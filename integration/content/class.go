// SPDX-License-Identifier: MPL-2.0

package content

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/integration/postgres"
)

// Vault is a server to load or to read, with the notes of the loading (tokens, ciphertexts,
// lease ids). Both sides use the same notes.
type Vault struct {
	Root  *api.Client
	Notes map[string]string
	// AuditFile is where the audit device writes.
	AuditFile string
	// Database may be nil: the class of leases is left out then.
	Database *postgres.Server
}

// On returns the same notes with another server.
func (v *Vault) On(root *api.Client) *Vault {
	moved := *v
	moved.Root = root
	return &moved
}

// With returns a client with one of the noted tokens.
func (v *Vault) With(note string) (*api.Client, error) {
	client, err := v.Root.Clone()
	if err != nil {
		return nil, err
	}
	client.SetToken(v.Notes[note])
	return client, nil
}

// Class is one kind of content.
type Class struct {
	Name string
	Load func(context.Context, *Vault) error
	Read func(context.Context, *Vault) (map[string]any, error)
}

// Classes are all kinds, in the order of loading.
func Classes() []Class {
	return []Class{
		{"audit device", loadAudit, readAudit},
		{"policies", loadPolicies, readPolicies},
		{"key-value version 1", loadKV1, readKV1},
		{"key-value version 2", loadKV2, readKV2},
		{"transit", loadTransit, readTransit},
		{"pki", loadPKI, readPKI},
		{"userpass", loadUserpass, readUserpass},
		{"approle", loadAppRole, readAppRole},
		{"identity", loadIdentity, readIdentity},
		{"tokens", loadTokens, readTokens},
		{"database leases", loadDatabase, readDatabase},
		{"barrier key", loadRotation, readRotation},
		{"local mount", loadLocal, readLocal},
		{"password policy", loadPasswordPolicy, readPasswordPolicy},
		{"quota", loadQuota, readQuota},
		{"mounts", nothing, readMounts},
	}
}

func nothing(context.Context, *Vault) error { return nil }

// Load makes all classes.
func Load(ctx context.Context, v *Vault) error {
	for _, class := range Classes() {
		if err := class.Load(ctx, v); err != nil {
			return fmt.Errorf("loading %s: %w", class.Name, err)
		}
	}
	return nil
}

// Snapshot reads all classes into plain JSON values, without what time changes.
func Snapshot(ctx context.Context, v *Vault) (map[string]any, error) {
	all := map[string]any{}
	for _, class := range Classes() {
		content, err := class.Read(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", class.Name, err)
		}
		if all[class.Name], err = plain(content); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// steps makes writes in order; the first error ends it.
type steps struct {
	ctx    context.Context
	client *api.Client
	err    error
}

func (s *steps) write(path string, data map[string]any) *api.Secret {
	if s.err != nil {
		return nil
	}
	secret, err := s.client.Logical().WriteWithContext(s.ctx, path, data)
	if err != nil {
		s.err = fmt.Errorf("writing %s: %w", path, err)
	}
	return secret
}

// field is a string of an answer; without one the steps fail.
func (s *steps) field(secret *api.Secret, name string) string {
	if s.err != nil {
		return ""
	}
	if secret == nil || secret.Data[name] == nil {
		s.err = fmt.Errorf("an answer has no %q", name)
		return ""
	}
	return fmt.Sprint(secret.Data[name])
}

// reads collects the data of paths; a path that is not there is an error.
type reads struct {
	ctx    context.Context
	client *api.Client
	out    map[string]any
	err    error
}

func newReads(ctx context.Context, client *api.Client) *reads {
	return &reads{ctx: ctx, client: client, out: map[string]any{}}
}

func (r *reads) get(path string, without ...string) {
	r.keep(path, without, func() (*api.Secret, error) { return r.client.Logical().ReadWithContext(r.ctx, path) })
}

func (r *reads) list(path string) {
	r.keep("list "+path, nil, func() (*api.Secret, error) { return r.client.Logical().ListWithContext(r.ctx, path) })
}

func (r *reads) write(path string, data map[string]any, without ...string) {
	r.keep("write "+path, without,
		func() (*api.Secret, error) { return r.client.Logical().WriteWithContext(r.ctx, path, data) })
}

func (r *reads) keep(name string, without []string, call func() (*api.Secret, error)) {
	if r.err != nil {
		return
	}
	secret, err := call()
	switch {
	case err != nil:
		r.err = fmt.Errorf("%s: %w", name, err)
	case secret == nil || secret.Data == nil:
		r.err = fmt.Errorf("%s: nothing there", name)
	default:
		for _, field := range without {
			delete(secret.Data, field)
		}
		r.out[name] = secret.Data
	}
}

func (r *reads) result() (map[string]any, error) { return r.out, r.err }
