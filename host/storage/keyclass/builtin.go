// SPDX-License-Identifier: MPL-2.0

package keyclass

// Builtin says which keys of an engine that is built into Vault are local to a
// cluster. With it the classes of a mount are known from the mount table alone,
// before the backend is loaded and where it cannot be.
type Builtin struct {
	Kind string // of the view: logical, auth or audit
	Type string
	// LocalPrefixes are those that the backend itself declares.
	LocalPrefixes []string
	Why           string
}

// walPrefix is where an engine that the SDK's framework makes notes what it has
// begun outside Vault. The cluster that began it has to undo it.
const walPrefix = "wal/"

var wal = []string{walPrefix}

// nothing is for engines whose whole storage is replicated.
const nothing = "declares no local storage"

// Builtins are the engines of Vault v1.21.1 with their plugins' versions.
var Builtins = []Builtin{
	{"logical", "pki", []string{
		"revoked/", "delta-wal/", "crl", "config/cluster", "crls/", "certs/", "cert-metadata/", "acme/", "config/auto-tidy-last-run",
	}, "a cluster revokes, lists and tidies the certificates that it has issued, under its own address"},
	{"logical", "ssh", []string{"otp/"}, "a one-time password is checked where it was made"},
	{"logical", "aws", wal, "IAM users and keys in the making, to be undone where they were begun"},
	{"logical", "azure", wal, "applications in the making, to be undone where they were begun"},
	{"logical", "database", wal, "rotations in the making, to be undone where they were begun"},
	{"logical", "gcp", wal, "service accounts in the making, to be undone where they were begun"},
	{"logical", "kubernetes", wal, "objects in the making, to be undone where they were begun"},
	{"logical", "ldap", wal, "rotations in the making, to be undone where they were begun"},
	{"logical", "openldap", wal, "the name that ldap had"},
	{"logical", "mongodbatlas", wal, "keys in the making, to be undone where they were begun"},
	{"logical", "terraform", wal, "tokens in the making, to be undone where they were begun"},
	{"logical", "kv", nil, nothing},
	{"logical", "generic", nil, "the name that kv had"},
	{"logical", "transit", nil, nothing},
	{"logical", "totp", nil, nothing},
	{"logical", "consul", nil, nothing},
	{"logical", "nomad", nil, nothing},
	{"logical", "rabbitmq", nil, nothing},
	{"logical", "ad", nil, nothing},
	{"logical", "alicloud", nil, nothing},
	{"logical", "gcpkms", nil, nothing},
	{"logical", "cassandra", nil, "removed from Vault; what is left of a mount is replicated as it was"},
	{"logical", "mongodb", nil, "removed from Vault; what is left of a mount is replicated as it was"},
	{"logical", "mssql", nil, "removed from Vault; what is left of a mount is replicated as it was"},
	{"logical", "mysql", nil, "removed from Vault; what is left of a mount is replicated as it was"},
	{"logical", "postgresql", nil, "removed from Vault; what is left of a mount is replicated as it was"},
	{"logical", "identity", []string{"packer/local-aliases/buckets/"}, "aliases of local auth mounts"},
	{"logical", "system", []string{"expire/", "counters/"}, "leases and counters of one cluster; its view is sys/, where the table of keys decides"},
	{"logical", "cubbyhole", []string{""}, "belongs to tokens, which are of one cluster; its entry is in the table of local mounts"},

	{"auth", "approle", []string{"secret_id_local/", "accessor_local/"}, "secret ids of roles that keep them on one cluster"},
	{"auth", "aws", []string{"whitelist/identity/"}, "instances that have logged in to this cluster"},
	{"auth", "azure", wal, "rotations in the making, to be undone where they were begun"},
	{"auth", "token", []string{"id/", "accessor/", "parent/", "salt"}, "tokens are of one cluster; its view is sys/token/, where the table of keys decides"},
	{"auth", "alicloud", nil, nothing},
	{"auth", "app-id", nil, "removed from Vault; what is left of a mount is replicated as it was"},
	{"auth", "cert", nil, nothing},
	{"auth", "cf", nil, nothing},
	{"auth", "gcp", nil, nothing},
	{"auth", "github", nil, nothing},
	{"auth", "jwt", nil, nothing},
	{"auth", "kerberos", nil, nothing},
	{"auth", "kubernetes", nil, nothing},
	{"auth", "ldap", nil, nothing},
	{"auth", "oci", nil, nothing},
	{"auth", "oidc", nil, nothing},
	{"auth", "okta", nil, nothing},
	{"auth", "pcf", nil, nothing},
	{"auth", "radius", nil, nothing},
	{"auth", "userpass", nil, nothing},

	{"audit", "file", nil, "the salt of the hashes in the log, which are the same on all clusters"},
	{"audit", "socket", nil, "the salt of the hashes in the log, which are the same on all clusters"},
	{"audit", "syslog", nil, "the salt of the hashes in the log, which are the same on all clusters"},
}

var builtins = func() map[string]*Builtin {
	m := make(map[string]*Builtin, len(Builtins))
	for i := range Builtins {
		m[Builtins[i].Kind+"/"+Builtins[i].Type] = &Builtins[i]
	}
	return m
}()

func builtin(kind, typ string) (*Builtin, bool) {
	b, ok := builtins[kind+"/"+typ]
	return b, ok
}
