// SPDX-License-Identifier: MPL-2.0

package routing

// identityPaths are those of identity/. Entities, groups and everything of OIDC
// and login MFA that has a name are shared.
var identityPaths = []CorePath{
	{Backend: Identity, Pattern: `entity`, Way: AtOnce, Why: "entities are shared"},
	{Backend: Identity, Pattern: `entity/id/` + idRe, Way: AtOnce, Why: "entities are shared"},
	{Backend: Identity, Pattern: `entity/name/(?P<name>.+)`, Way: AtOnce, Why: "entities are shared"},
	{Backend: Identity, Pattern: `entity/batch-delete`, Way: AtOnce, Why: "entities are shared"},
	{Backend: Identity, Pattern: `entity/merge/?`, Way: AtOnce, Why: "entities are shared"},
	{Backend: Identity, Pattern: `entity-alias`, Way: ByAlias, Why: "aliases of replicated mounts are shared"},
	{Backend: Identity, Pattern: `entity-alias/id/` + idRe, Way: ByAlias, Why: "aliases of replicated mounts are shared"},
	{Backend: Identity, Pattern: `alias`, Way: ByAlias, Why: "aliases of replicated mounts are shared"},
	{Backend: Identity, Pattern: `alias/id/` + idRe, Way: ByAlias, Why: "aliases of replicated mounts are shared"},
	{Backend: Identity, Pattern: `persona`, Way: ByAlias, Why: "the old name of aliases"},
	{Backend: Identity, Pattern: `persona/id/` + idRe, Way: ByAlias, Why: "the old name of aliases"},
	{Backend: Identity, Pattern: `group`, Way: AtOnce, Why: "groups are shared"},
	{Backend: Identity, Pattern: `group/id/` + idRe, Way: AtOnce, Why: "groups are shared"},
	{Backend: Identity, Pattern: `group/name/(?P<name>.+)`, Way: AtOnce, Why: "groups are shared"},
	{Backend: Identity, Pattern: `group-alias`, Way: AtOnce, Why: "groups are shared"},
	{Backend: Identity, Pattern: `group-alias/id/` + idRe, Way: AtOnce, Why: "groups are shared"},

	{Backend: Identity, Pattern: `mfa/login-enforcement/` + name, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/duo/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/duo/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/okta/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/okta/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/pingid/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/pingid/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/totp/?`, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/totp/` + method, Way: AtOnce, Why: "login MFA is shared"},
	{Backend: Identity, Pattern: `mfa/method/totp/generate`, Way: AtOnce, Why: "the secret is kept in the caller's entity"},
	{Backend: Identity, Pattern: `mfa/method/totp/admin-generate`, Way: AtOnce, Why: "the secret is kept in the entity"},
	{Backend: Identity, Pattern: `mfa/method/totp/admin-destroy`, Way: AtOnce, Why: "the secret is kept in the entity"},

	{Backend: Identity, Pattern: `oidc/config/?`, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: Identity, Pattern: `oidc/assignment/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: Identity, Pattern: `oidc/client/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: Identity, Pattern: `oidc/key/` + name, Way: AtOnce, Why: "signing keys are shared"},
	{Backend: Identity, Pattern: `oidc/key/` + name + `/rotate/?`, Way: AtOnce, Why: "signing keys are shared"},
	{Backend: Identity, Pattern: `oidc/provider/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: Identity, Pattern: `oidc/role/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},
	{Backend: Identity, Pattern: `oidc/scope/` + name, Way: AtOnce, Why: "configuration of OIDC is shared"},

	// Answered with this cluster's tokens and memory.
	{Backend: Identity, Pattern: `oidc/provider/` + name + `/authorize`, Why: "the code is kept in this node's memory"},
	{Backend: Identity, Pattern: `oidc/provider/` + name + `/token`, Why: "redeems a code of this node's memory"},
	{Backend: Identity, Pattern: `oidc/provider/` + name + `/userinfo`, Why: "for a token of this cluster"},
	{Backend: Identity, Pattern: `oidc/provider/` + name + `/\.well-known/`, Prefix: true, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/introspect/?`, Why: "checks a signature"},
	{Backend: Identity, Pattern: `oidc/token/` + name, Why: "signed for a token of this cluster"},
	{Backend: Identity, Pattern: `oidc(/(?P<child>[^/]+))?/\.well-known/`, Prefix: true, Why: "read only"},
	{Backend: Identity, Pattern: `lookup/`, Prefix: true, Why: "reads, though an update"},

	{Backend: Identity, Pattern: `entity/id/?`, Why: "read only"},
	{Backend: Identity, Pattern: `entity/name/?`, Why: "read only"},
	{Backend: Identity, Pattern: `entity-alias/id/?`, Why: "read only"},
	{Backend: Identity, Pattern: `alias/id/?`, Why: "read only"},
	{Backend: Identity, Pattern: `persona/id/?`, Why: "read only"},
	{Backend: Identity, Pattern: `group/id/?`, Why: "read only"},
	{Backend: Identity, Pattern: `group/name/?`, Why: "read only"},
	{Backend: Identity, Pattern: `group-alias/id/?`, Why: "read only"},
	{Backend: Identity, Pattern: `mfa/login-enforcement/?`, Why: "read only"},
	{Backend: Identity, Pattern: `mfa/method/?`, Why: "read only"},
	{Backend: Identity, Pattern: `mfa/method/` + method, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/assignment/?`, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/client/?`, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/key/?`, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/provider/?`, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/role/?`, Why: "read only"},
	{Backend: Identity, Pattern: `oidc/scope/?`, Why: "read only"},
}

// tokenPaths are those of auth/token/. Roles are the one shared thing there.
var tokenPaths = []CorePath{
	{Backend: Token, Pattern: `roles/(?P<role_name>\w(([\w-.]+)?\w)?)`, Way: AtOnce, Why: "token roles are shared"},
	{Backend: Token, Pattern: `roles/?`, Why: "read only"},
	{Backend: Token, Pattern: `accessors/?`, Why: "tokens of this cluster"},
	{Backend: Token, Pattern: `create`, Prefix: true, Why: "tokens of this cluster"},
	{Backend: Token, Pattern: `lookup`, Prefix: true, Why: "tokens of this cluster"},
	{Backend: Token, Pattern: `renew`, Prefix: true, Behind: true, Why: "tokens of this cluster; the auth method behind may forward"},
	{Backend: Token, Pattern: `revoke`, Prefix: true, Why: "tokens of this cluster"},
	{Backend: Token, Pattern: `tidy`, Why: "tokens of this cluster"},
}
