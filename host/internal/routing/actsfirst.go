// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// ActsFirst is an operation of a backend that acts on another system, or changes its own memory, before it writes. If
// it were tried here and then forwarded, it would be carried out twice, or leave something in this cluster that the
// primary never had. So it goes to the primary at once.
type ActsFirst struct {
	// Pattern is the path's pattern in the backend's source, without anchors. A lease
	// has the path of the request that made it.
	Pattern    string
	Operations []logical.Operation
	// Does is what it does before it writes.
	Does string

	match *regexp.Regexp
}

var (
	anyName    = framework.GenericNameRegex("name")
	anyKey     = framework.GenericNameRegex("key")
	anyRole    = framework.GenericNameRegex("role")
	nestedName = `(/(?P<name>\w(([\w-./]+)?\w)?))`

	updates   = []logical.Operation{logical.UpdateOperation}
	upserts   = []logical.Operation{logical.CreateOperation, logical.UpdateOperation}
	deletions = []logical.Operation{logical.DeleteOperation}
	anyChange = []logical.Operation{logical.CreateOperation, logical.UpdateOperation, logical.DeleteOperation}
	revokes   = []logical.Operation{logical.RevokeOperation}
)

// ActFirst is the table for the built-in backends, by class and type of their mounts. An
// operation that it does not name writes first, or carries the framework's flag that
// forwards it before it runs, or writes nothing shared.
//
// The configuration of the kubernetes auth method changes the trusted CAs before it writes, but is left out. The method
// reads them from storage twice a second. If the operation were forwarded at once, a client that configures the method
// here and logs in right afterwards would have to wait for that.
var ActFirst = map[string][]ActsFirst{
	vaultname.ClassSecret + "/ad": {
		acts(`library/`+anyName, upserts, "changes the passwords of the accounts"),
		acts(`library/`+anyName+`/check-in`, updates, "changes the password of the account"),
		acts(`library/manage/`+anyName+`/check-in`, updates, "changes the password of the account"),
		acts(`library/`+anyName+`/check-out`, revokes, "changes the password of the account"),
	},
	vaultname.ClassSecret + "/azure": {
		acts(`roles/`+anyName, anyChange, "makes or deletes the application of a role that keeps one"),
	},
	vaultname.ClassSecret + "/consul": {
		acts(`config/access`, updates, "bootstraps Consul's ACLs, which can be done once, if it is given no token"),
	},
	vaultname.ClassSecret + "/gcp": {acts(`impersonated-account/`+anyName, upserts, "asks Google for the account")},
	vaultname.ClassSecret + "/gcpkms": {
		acts(`keys/`+anyKey, anyChange, "makes, changes or destroys the key at Google"),
		acts(`keys/register/`+anyKey, updates, "asks Google for the key"),
	},
	vaultname.ClassSecret + "/ldap":     ldapLibrary,
	vaultname.ClassSecret + "/openldap": ldapLibrary,
	vaultname.ClassSecret + "/nomad": {
		acts(`config/access`, upserts, "bootstraps Nomad's ACLs, which can be done once, if it is given no token"),
	},
	vaultname.ClassSecret + "/rabbitmq": {acts(`config/connection`, updates, "logs in to the server, to verify")},
	vaultname.ClassSecret + "/terraform": {
		acts(`role/`+anyName, updates, "makes the token of an organization or a team, which ends the one before"),
	},
	vaultname.ClassSecret + "/transit": {
		acts(`keys/`+anyName, deletions, "takes the key from its cache"),
		acts(`keys/`+anyName+`/config`, updates, "keeps the period of rotation in its cache if the write fails"),
		acts(`keys/`+anyName+`/import_version`, updates,
			"keeps the new version in its cache, and encrypts with it, if the write fails"),
		acts(`keys/`+anyName+`/rotate`, updates, "has an imported key taken for its own if the write fails"),
		acts(`keys/`+anyName+`/set-certificate`, updates, "keeps the certificate in its cache if the write fails"),
	},
	vaultname.ClassAuth + "/aws": {
		acts(`config/rotate-root`, updates, "makes an access key at AWS"),
		acts(`role/`+anyRole, upserts, "asks AWS for the principals"),
	},
	vaultname.ClassAuth + "/cert":   {acts(`crls/`+anyName, updates, "fetches the list")},
	vaultname.ClassAuth + "/github": {acts(`config`, updates, "asks GitHub for the organization")},
	vaultname.ClassAuth + "/jwt":    {acts(`config`, updates, "asks the provider for its keys")},
	vaultname.ClassAuth + "/oidc":   {acts(`config`, updates, "asks the provider for its keys")},
}

// ldapLibrary is the library of an engine that has two names.
var ldapLibrary = []ActsFirst{
	acts(`library`+nestedName+`/check-in`, updates, "changes the password of the account"),
	acts(`library/manage`+nestedName+`/check-in`, updates, "changes the password of the account"),
	acts(`library`+nestedName+`/check-out`, revokes, "changes the password of the account"),
}

func acts(pattern string, operations []logical.Operation, does string) ActsFirst {
	return ActsFirst{pattern, operations, does, regexp.MustCompile("^(?:" + pattern + ")$")}
}

// actsFirst says whether an operation must not be tried here.
func actsFirst(m vaultname.Mount, op logical.Operation, path string) bool {
	return slices.ContainsFunc(ActFirst[m.Class+"/"+m.Type], func(r ActsFirst) bool {
		return slices.Contains(r.Operations, op) && r.match.MatchString(path)
	})
}

// Is says whether the row is about a pattern as a backend registers it.
func (r ActsFirst) Is(pattern string) bool {
	return strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$") == r.Pattern
}
