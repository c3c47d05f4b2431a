// SPDX-License-Identifier: MPL-2.0

package routing

import "github.com/vault-replication/vault-replication/host/vaultname"

// identityPaths are those of identity/. Entities, groups and everything of OIDC
// and login MFA that has a name are shared.
var identityPaths = []CorePath{
	{Backend: vaultname.Identity, Pattern: `entity`, Way: AtOnce, Why: "entities are shared"},
	{Backend: vaultname.Identity, Pattern: `entity/id/` + idRe, Way: AtOnce, Why: "entities are shared"},
	{Backend: vaultname.Identity, Pattern: `entity/name/(?P<name>.+)`, Way: AtOnce, Why: "entities are shared"},
	{Backend: vaultname.Identity, Pattern: `entity/batch-delete`, Way: AtOnce, Why: "entities are shared"},
	{Backend: vaultname.Identity, Pattern: `entity/merge/?`, Way: AtOnce, Why: "entities are shared"},
	{Backend: vaultname.Identity, Pattern: `entity-alias`, Way: ByAlias, Why: "aliases of replicated mounts are shared"},
	{Backend: vaultname.Identity, Pattern: `entity-alias/id/` + idRe, Way: ByAlias, Why: "aliases of replicated mounts " +
		"are shared"},
	{Backend: vaultname.Identity, Pattern: `alias`, Way: ByAlias, Why: "aliases of replicated mounts are shared"},
	{Backend: vaultname.Identity, Pattern: `alias/id/` + idRe, Way: ByAlias, Why: "aliases of replicated mounts are " +
		"shared"},
	{Backend: vaultname.Identity, Pattern: `persona`, Way: ByAlias, Why: "the old name of aliases"},
	{Backend: vaultname.Identity, Pattern: `persona/id/` + idRe, Way: ByAlias, Why: "the old name of aliases"},
	{Backend: vaultname.Identity, Pattern: `group`, Way: AtOnce, Why: "groups are shared"},
	{Backend: vaultname.Identity, Pattern: `group/id/` + idRe, Way: AtOnce, Why: "groups are shared"},
	{Backend: vaultname.Identity, Pattern: `group/name/(?P<name>.+)`, Way: AtOnce, Why: "groups are shared"},
	{Backend: vaultname.Identity, Pattern: `group-alias`, Way: AtOnce, Why: "groups are shared"},
	{Backend: vaultname.Identity, Pattern: `group-alias/id/` + idRe, Way: AtOnce, Why: "groups are shared"},

	{Backend: vaultname.Identity, Pattern: `mfa/login-enforcement/` + name, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/duo/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/duo/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/okta/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/okta/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/pingid/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/pingid/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/totp/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/totp/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/totp/generate`, Way: AtOnce, Why: "the secret is kept in the " +
		"caller's entity"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/totp/admin-generate`, Way: AtOnce,
		Why: "the secret is kept in the entity"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/totp/admin-destroy`, Way: AtOnce,
		Why: "the secret is kept in the entity"},

	{Backend: vaultname.Identity, Pattern: `oidc/config/?`, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/assignment/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/client/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/key/` + name, Way: AtOnce, Why: "signing keys are shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/key/` + name + `/rotate/?`, Way: AtOnce, Why: "signing keys are shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/provider/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/role/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: vaultname.Identity, Pattern: `oidc/scope/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},

	// These are answered with this cluster's tokens and memory.
	{Backend: vaultname.Identity, Pattern: `oidc/provider/` + name + `/authorize`, Why: "the code is kept in this " +
		"node's memory"},
	{Backend: vaultname.Identity, Pattern: `oidc/provider/` + name + `/token`, Why: "redeems a code of this node's " +
		"memory"},
	{Backend: vaultname.Identity, Pattern: `oidc/provider/` + name + `/userinfo`, Why: "for a token of this cluster"},
	{Backend: vaultname.Identity, Pattern: `oidc/provider/` + name + `/\.well-known/`, Prefix: true, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/introspect/?`, Why: "checks a signature"},
	{Backend: vaultname.Identity, Pattern: `oidc/token/` + name, Why: "signed for a token of this cluster"},
	{Backend: vaultname.Identity, Pattern: `oidc(/(?P<child>[^/]+))?/\.well-known/`, Prefix: true, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `lookup/`, Prefix: true, Why: "reads, though an update"},

	{Backend: vaultname.Identity, Pattern: `entity/id/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `entity/name/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `entity-alias/id/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `alias/id/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `persona/id/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `group/id/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `group/name/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `group-alias/id/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `mfa/login-enforcement/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `mfa/method/` + method, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/assignment/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/client/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/key/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/provider/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/role/?`, Why: "read only"},
	{Backend: vaultname.Identity, Pattern: `oidc/scope/?`, Why: "read only"},
}

// tokenPaths are those of auth/token/. Only its roles are shared.
var tokenPaths = []CorePath{
	{Backend: vaultname.Token, Pattern: `roles/(?P<role_name>\w(([\w-.]+)?\w)?)`, Way: AtOnce,
		Why: "token roles are shared"},
	{Backend: vaultname.Token, Pattern: `roles/?`, Why: "read only"},
	{Backend: vaultname.Token, Pattern: `accessors/?`, Why: "tokens of this cluster"},
	{Backend: vaultname.Token, Pattern: `create`, Prefix: true, Why: "tokens of this cluster"},
	{Backend: vaultname.Token, Pattern: `lookup`, Prefix: true, Why: "tokens of this cluster"},
	{Backend: vaultname.Token, Pattern: `renew`, Prefix: true, Behind: true, Why: "tokens of this cluster; the auth " +
		"method behind may forward"},
	{Backend: vaultname.Token, Pattern: `revoke`, Prefix: true, Why: "tokens of this cluster"},
	{Backend: vaultname.Token, Pattern: `tidy`, Why: "tokens of this cluster"},
}
