// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Builtin says which keys of an engine that is built into Vault are local. So the mount table alone gives the classes
// of such a mount, before its backend is loaded, and even if it cannot be loaded.
type Builtin struct {
	Kind string // the directory of its view
	Type string
	// LocalPrefixes are the local prefixes that the backend itself declares.
	LocalPrefixes []string
	Why           string
}

// walPrefix is where an engine of the SDK's framework notes what it has begun outside of Vault. Only the cluster that
// began it can undo it.
const walPrefix = "wal/"

var wal = []string{walPrefix}

const (
	nothing = "declares no local storage"
	removed = "removed from Vault; what is left of a mount is replicated as it was"
)

// Builtins are the engines of the linked Vault with their plugins' versions.
var Builtins = slices.Concat([]Builtin{
	{vaultname.EngineViews, "pki", []string{
		"revoked/", "delta-wal/", "crl", "config/cluster", "crls/", "certs/", "cert-metadata/", "acme/",
		"config/auto-tidy-last-run",
	}, "a cluster revokes, lists and tidies the certificates that it has issued, under its own address"},
	{vaultname.EngineViews, "ssh", []string{"otp/"}, "a one-time password is checked where it was made"},
	{vaultname.EngineViews, "aws", wal, "IAM users and keys in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "azure", wal, "applications in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "database", wal, "rotations in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "gcp", wal, "service accounts in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "kubernetes", wal, "objects in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "ldap", wal, "rotations in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "openldap", wal, "the name that ldap had"},
	{vaultname.EngineViews, "mongodbatlas", wal, "keys in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "terraform", wal, "tokens in the making, to be undone where they were begun"},
	{vaultname.EngineViews, "generic", nil, "the name that kv had"},
	{vaultname.EngineViews, "identity", []string{"packer/local-aliases/buckets/"}, "aliases of local auth mounts"},
	{vaultname.EngineViews, "system", localOfSystem(), "leases, counters and rotations of one cluster; its view is " +
		"sys/, where the table of keys decides"},
	{vaultname.EngineViews, "cubbyhole", []string{""}, "belongs to tokens, which are of one cluster; its entry is in " +
		"the table of local mounts"},

	{vaultname.AuthViews, "approle", []string{"secret_id_local/", "accessor_local/"}, "secret ids of roles that keep " +
		"them on one cluster"},
	{vaultname.AuthViews, "aws", []string{"whitelist/identity/"}, "instances that have logged in to this cluster"},
	{vaultname.AuthViews, "azure", wal, "rotations in the making, to be undone where they were begun"},
	{vaultname.AuthViews, "token", []string{"id/", "accessor/", "parent/", "salt"}, "tokens are of one cluster; its " +
		"view is sys/token/, where the table of keys decides"},
},
	replicated(vaultname.EngineViews, nothing,
		"kv", "transit", "totp", "consul", "nomad", "rabbitmq", "ad", "alicloud", "gcpkms"),
	replicated(vaultname.EngineViews, removed, "cassandra", "mongodb", "mssql", "mysql", "postgresql"),
	replicated(vaultname.AuthViews, nothing,
		"alicloud", "cert", "cf", "gcp", "github", "jwt", "kerberos", "kubernetes", "ldap", "oci", "oidc", "okta",
		"pcf", "radius", "userpass"),
	replicated(vaultname.AuthViews, removed, "app-id"),
	replicated(vaultname.AuditViews, "the salt of the hashes in the log, which are the same on all clusters",
		"file", "socket", "syslog"),
)

// replicated are engines without local storage.
func replicated(kind, why string, types ...string) []Builtin {
	rows := make([]Builtin, len(types))
	for i, typ := range types {
		rows[i] = Builtin{Kind: kind, Type: typ, Why: why}
	}
	return rows
}

var builtins = func() map[string]*Builtin {
	m := make(map[string]*Builtin, len(Builtins))
	for i := range Builtins {
		m[Builtins[i].Kind+Builtins[i].Type] = &Builtins[i]
	}
	return m
}()

func builtin(kind, typ string) (*Builtin, bool) {
	b, ok := builtins[kind+typ]
	return b, ok
}

// localOfSystem are the local prefixes of the system backend: the local rows of the table below its view, without the
// view of the token store.
func localOfSystem() (prefixes []string) {
	for _, row := range Rows {
		if prefix, below := strings.CutPrefix(row.Key, "sys/"); below && row.Class == Local && prefix != "token/" {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}
