// SPDX-License-Identifier: MPL-2.0

package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/helper/activationflags"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/quotas"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Policy takes up an ACL policy that was written or deleted.
func (l Caches) Policy(ctx context.Context, name string) {
	if ps := *pinned.Field[*vault.PolicyStore](l.core, "policyStore"); ps != nil {
		pinned.InvalidatePolicy(ps, root(ctx), name, vault.PolicyTypeACL)
	}
}

// Quota takes up a quota, "rate-limit/name", or the "config" of all. Vault logs what it
// cannot read and goes on with the old one, so it is looked first whether it can.
func (l Caches) Quota(ctx context.Context, key string) error {
	if _, err := l.get(ctx, "sys/"+quotas.StoragePrefix+key); err != nil {
		return err
	}
	if m := *pinned.Field[*quotas.Manager](l.core, "quotaManager"); m != nil {
		m.Invalidate(key)
	}
	return nil
}

// CORS takes up the CORS configuration. It changes the one that requests are
// reading, under its own lock; Vault's loader puts another in its place and may
// only run while nothing else does.
func (l Caches) CORS(ctx context.Context) error {
	raw, err := l.get(ctx, vaultname.CORS)
	if err != nil {
		return err
	}
	var stored vault.CORSConfig
	if raw != nil {
		if err := json.Unmarshal(raw, &stored); err != nil {
			return fmt.Errorf("the CORS configuration cannot be read: %w", err)
		}
	}
	running := l.core.CORSConfig()
	running.Lock()
	running.AllowedOrigins, running.AllowedHeaders = stored.AllowedOrigins, stored.AllowedHeaders
	running.Unlock()
	enabled := vault.CORSDisabled
	if stored.Enabled != nil {
		enabled = *stored.Enabled
	}
	atomic.StoreUint32(running.Enabled, enabled)
	return nil
}

const uiPlaintextKey = "config_plaintext"

// UIHeaders copies the headers of the UI to where Vault keeps them in plain text,
// beside the barrier: it compares the two at each request and would try to mend a
// difference by writing both, which a secondary may not.
func (l Caches) UIHeaders(ctx context.Context) error {
	conf := *pinned.Field[*vault.UIConfig](l.core, "uiConfig")
	if conf == nil {
		return nil
	}
	store := *pinned.Field[physical.Backend](conf, "physicalStorage")
	raw, err := l.get(ctx, vaultname.UIConfig)
	if err != nil {
		return err
	}
	plain, err := store.Get(ctx, uiPlaintextKey)
	switch {
	case err != nil:
		return err
	case raw == nil && plain == nil, raw != nil && plain != nil && bytes.Equal(raw, plain.Value):
		return nil
	case raw == nil:
		return store.Delete(ctx, uiPlaintextKey)
	default:
		return store.Put(ctx, &physical.Entry{Key: uiPlaintextKey, Value: raw})
	}
}

// AuditedHeaders takes up the request headers that audit devices log.
func (l Caches) AuditedHeaders(ctx context.Context) error {
	if h := *pinned.Field[*audit.HeadersConfig](l.core, "auditedHeaders"); h != nil {
		return h.Invalidate(ctx)
	}
	return nil
}

const mfaMethodTable = "login_mfa_configs"

// LoginMFA takes up a method or an enforcement of login MFA. Nothing is dropped
// before what takes its place is there: in between, logins would pass without a
// second factor.
func (l Caches) LoginMFA(ctx context.Context, key string) error {
	b := *pinned.Field[*vault.LoginMFABackend](l.core, "loginMFABackend")
	if b == nil {
		return nil
	}
	raw, err := l.get(ctx, key)
	if err != nil {
		return err
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(key, vaultname.LoginMFA), "/")
	switch {
	case kind == "method" && raw == nil:
		return b.MemDBDeleteMFAConfigByID(id, mfaMethodTable)
	case kind == "method":
		return pinned.LoadMFAMethodConfigs(b, root(ctx), namespace.RootNamespace)
	case kind == "enforcement" && raw == nil:
		return b.MemDBDeleteMFALoginEnforcementConfigByID(id)
	case kind == "enforcement":
		_, err := pinned.LoadMFAEnforcementConfigs(b, root(ctx), namespace.RootNamespace)
		return err
	}
	return nil
}

// ActivationFlags takes up features that the primary has activated.
func (l Caches) ActivationFlags(ctx context.Context) error {
	flags := l.core.FeatureActivationFlags
	if flags == nil {
		return nil
	}
	changed, err := flags.ReloadFlagsFromStorage(ctx)
	if err != nil {
		return err
	}
	if identity := l.core.IdentityStore(); changed[activationflags.IdentityDeduplication] && identity != nil &&
		identity.ActivationFunc != nil {
		// It loads the identity store after the call, and the core seals itself where that fails: the
		// context must not end with the call.
		return identity.ActivationFunc(context.WithoutCancel(root(ctx)), nil, "")
	}
	return nil
}
