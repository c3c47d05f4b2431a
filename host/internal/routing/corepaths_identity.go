// SPDX-License-Identifier: MPL-2.0

package routing

import "github.com/vault-replication/vault-replication/host/vaultname"

// identityPaths are the paths of identity/. Entities, groups and all named things of OIDC and login MFA are shared.
var identityPaths = of(vaultname.Identity,
	paths(CorePath{Way: AtOnce, Why: "entities are shared"},
		`entity`, `entity/id/`+idRe, `entity/name/(?P<name>.+)`, `entity/batch-delete`),
	paths(CorePath{Way: AtOnce, Merges: true, Why: "entities are shared"}, `entity/merge/?`),
	paths(CorePath{Way: ByAlias, Why: "aliases of replicated mounts are shared"},
		`entity-alias`, `entity-alias/id/`+idRe, `alias`, `alias/id/`+idRe),
	paths(CorePath{Way: ByAlias, Why: "the old name of aliases"}, `persona`, `persona/id/`+idRe),
	paths(CorePath{Way: AtOnce, Why: "groups are shared"},
		`group`, `group/id/`+idRe, `group/name/(?P<name>.+)`, `group-alias`, `group-alias/id/`+idRe),

	paths(CorePath{Way: AtOnce, Why: "login MFA is shared"},
		`mfa/login-enforcement/`+name, `mfa/method/duo/?`, `mfa/method/duo/`+method, `mfa/method/okta/?`,
		`mfa/method/okta/`+method, `mfa/method/pingid/?`, `mfa/method/pingid/`+method, `mfa/method/totp/?`,
		`mfa/method/totp/`+method),
	paths(CorePath{Way: AtOnce, Why: "the secret is kept in the caller's entity"}, `mfa/method/totp/generate`),
	paths(CorePath{Way: AtOnce, Why: "the secret is kept in the entity"},
		`mfa/method/totp/admin-generate`, `mfa/method/totp/admin-destroy`),

	paths(CorePath{Way: AtOnce, Why: "configuration of OIDC is shared"},
		`oidc/config/?`, `oidc/assignment/`+name, `oidc/client/`+name, `oidc/provider/`+name, `oidc/role/`+name,
		`oidc/scope/`+name),
	paths(CorePath{Way: AtOnce, Why: "signing keys are shared"}, `oidc/key/`+name, `oidc/key/`+name+`/rotate/?`),

	// These are answered with this cluster's tokens and memory.
	paths(CorePath{Why: "the code is kept in this node's memory"}, `oidc/provider/`+name+`/authorize`),
	paths(CorePath{Why: "redeems a code of this node's memory"}, `oidc/provider/`+name+`/token`),
	paths(CorePath{Why: "for a token of this cluster"}, `oidc/provider/`+name+`/userinfo`),
	paths(CorePath{Prefix: true, Why: "read only"},
		`oidc/provider/`+name+`/\.well-known/`, `oidc(/(?P<child>[^/]+))?/\.well-known/`),
	paths(CorePath{Why: "checks a signature"}, `oidc/introspect/?`),
	paths(CorePath{Why: "signed for a token of this cluster"}, `oidc/token/`+name),
	paths(CorePath{Prefix: true, Why: "reads, though an update"}, `lookup/`),

	paths(CorePath{Why: "read only"},
		`entity/id/?`, `entity/name/?`, `entity-alias/id/?`, `alias/id/?`, `persona/id/?`, `group/id/?`, `group/name/?`,
		`group-alias/id/?`, `mfa/login-enforcement/?`, `mfa/method/?`, `mfa/method/`+method, `oidc/assignment/?`,
		`oidc/client/?`, `oidc/key/?`, `oidc/provider/?`, `oidc/role/?`, `oidc/scope/?`),
)

// tokenPaths are those of auth/token/. Only its roles are shared.
var tokenPaths = of(vaultname.Token,
	paths(CorePath{Way: AtOnce, Why: "token roles are shared"}, `roles/(?P<role_name>\w(([\w-.]+)?\w)?)`),
	paths(CorePath{Why: "read only"}, `roles/?`),
	paths(CorePath{Why: "tokens of this cluster"}, `accessors/?`, `tidy`),
	paths(CorePath{Prefix: true, Why: "tokens of this cluster"}, `create`, `lookup`, `revoke`),
	paths(CorePath{Prefix: true, Behind: true, Why: "tokens of this cluster; the auth method behind may forward"},
		`renew`),
)
