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

// ActsFirst is an operation of a backend that acts on something else, or changes its own
// memory, before it writes. Tried here and then forwarded, it would be carried out twice,
// or leave this cluster with something that the primary never had. So it goes to the
// primary at once.
type ActsFirst struct {
	// Class and Type are those of the mount: see [Mount].
	Class, Type string
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

// ActFirst is the table for the built-in backends. An operation that it does not name
// writes first, or carries the framework's flag that forwards it before it runs, or writes
// nothing shared.
//
// The configuration of the kubernetes auth method is left out, though it changes the CAs
// that the method trusts before it writes. The method takes them from storage twice a
// second. If the operation were forwarded at once, a client that logs in right after it has
// configured the method here would have to wait for that.
var ActFirst = matching([]ActsFirst{
	{Class: vaultname.ClassSecret, Type: "ad", Pattern: `library/` + anyName, Operations: upserts,
		Does: "changes the passwords of the accounts"},
	{Class: vaultname.ClassSecret, Type: "ad", Pattern: `library/` + anyName + `/check-in`, Operations: updates,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "ad", Pattern: `library/manage/` + anyName + `/check-in`, Operations: updates,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "ad", Pattern: `library/` + anyName + `/check-out`, Operations: revokes,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "azure", Pattern: `roles/` + anyName, Operations: anyChange,
		Does: "makes or deletes the application of a role that keeps one"},
	{Class: vaultname.ClassSecret, Type: "consul", Pattern: `config/access`, Operations: updates,
		Does: "bootstraps Consul's ACLs, which can be done once, if it is given no token"},
	{Class: vaultname.ClassSecret, Type: "gcp", Pattern: `impersonated-account/` + anyName, Operations: upserts,
		Does: "asks Google for the account"},
	{Class: vaultname.ClassSecret, Type: "gcpkms", Pattern: `keys/` + anyKey, Operations: anyChange,
		Does: "makes, changes or destroys the key at Google"},
	{Class: vaultname.ClassSecret, Type: "gcpkms", Pattern: `keys/register/` + anyKey, Operations: updates,
		Does: "asks Google for the key"},
	{Class: vaultname.ClassSecret, Type: "ldap", Pattern: `library` + nestedName + `/check-in`, Operations: updates,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "ldap", Pattern: `library/manage` + nestedName + `/check-in`, Operations: updates,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "ldap", Pattern: `library` + nestedName + `/check-out`, Operations: revokes,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "nomad", Pattern: `config/access`, Operations: upserts,
		Does: "bootstraps Nomad's ACLs, which can be done once, if it is given no token"},
	{Class: vaultname.ClassSecret, Type: "openldap", Pattern: `library` + nestedName + `/check-in`, Operations: updates,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "openldap", Pattern: `library/manage` + nestedName + `/check-in`,
		Operations: updates, Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "openldap", Pattern: `library` + nestedName + `/check-out`, Operations: revokes,
		Does: "changes the password of the account"},
	{Class: vaultname.ClassSecret, Type: "rabbitmq", Pattern: `config/connection`, Operations: updates,
		Does: "logs in to the server, to verify"},
	{Class: vaultname.ClassSecret, Type: "terraform", Pattern: `role/` + anyName, Operations: updates,
		Does: "makes the token of an organization or a team, which ends the one before"},
	{Class: vaultname.ClassSecret, Type: "transit", Pattern: `keys/` + anyName, Operations: deletions,
		Does: "takes the key from its cache"},
	{Class: vaultname.ClassSecret, Type: "transit", Pattern: `keys/` + anyName + `/config`, Operations: updates,
		Does: "keeps the period of rotation in its cache if the write fails"},
	{Class: vaultname.ClassSecret, Type: "transit", Pattern: `keys/` + anyName + `/import_version`, Operations: updates,
		Does: "keeps the new version in its cache, and encrypts with it, if the write fails"},
	{Class: vaultname.ClassSecret, Type: "transit", Pattern: `keys/` + anyName + `/rotate`, Operations: updates,
		Does: "has an imported key taken for its own if the write fails"},
	{Class: vaultname.ClassSecret, Type: "transit", Pattern: `keys/` + anyName + `/set-certificate`, Operations: updates,
		Does: "keeps the certificate in its cache if the write fails"},

	{Class: vaultname.ClassAuth, Type: "aws", Pattern: `config/rotate-root`, Operations: updates,
		Does: "makes an access key at AWS"},
	{Class: vaultname.ClassAuth, Type: "aws", Pattern: `role/` + anyRole, Operations: upserts,
		Does: "asks AWS for the principals"},
	{Class: vaultname.ClassAuth, Type: "cert", Pattern: `crls/` + anyName, Operations: updates, Does: "fetches the list"},
	{Class: vaultname.ClassAuth, Type: "github", Pattern: `config`, Operations: updates,
		Does: "asks GitHub for the organization"},
	{Class: vaultname.ClassAuth, Type: "jwt", Pattern: `config`, Operations: updates, Does: "asks the provider for its " +
		"keys"},
	{Class: vaultname.ClassAuth, Type: "oidc", Pattern: `config`, Operations: updates,
		Does: "asks the provider for its keys"},
})

func matching(rows []ActsFirst) map[string][]ActsFirst {
	byMount := map[string][]ActsFirst{}
	for _, r := range rows {
		r.match = regexp.MustCompile("^(?:" + r.Pattern + ")$")
		key := r.Class + "/" + r.Type
		byMount[key] = append(byMount[key], r)
	}
	return byMount
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
