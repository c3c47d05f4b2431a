// SPDX-License-Identifier: MPL-2.0

package differential

// The targets' names, as the table of differences has them.
const (
	Stock     = "stock Vault"
	Single    = "single server"
	Primary   = "primary"
	Secondary = "performance secondary"
)

// Differences are what is answered otherwise on purpose.
func Differences() []Difference {
	build, primary, secondary := []string{Single, Primary, Secondary}, []string{Primary}, []string{Secondary}
	const (
		endpoints = "stock Vault has stubs of Enterprise's endpoints, this build the endpoints"
		catalog   = "this build has a catalog of replication plugins"
		role      = "the role is shown"
		issued    = "a certificate is listed on the cluster that has issued it; what changes issuers is done by the primary"
		crl       = "each cluster has a CRL of its own, and builds it anew a little after a change of the configuration"
		acme      = "config/cluster is of each cluster, and ACME is switched on for all: the primary's own has to be set"
		rekey     = "Vault refuses it on a performance secondary"
		counts    = "each cluster counts its own encryptions"
		index     = "a client that moves between clusters is told the state that its write needs"
	)
	return []Difference{
		{"operations", "OpenAPI", "body.paths./sys/replication/*", build, endpoints},
		{"operations", "OpenAPI", "body.components.schemas.Replication*", build, endpoints},
		{"operations", "OpenAPI", "body.paths./sys/plugins/*/replication*", build, catalog},
		{"operations", "GET sys[?]help=1", "body.help", build, endpoints},
		{"operations", "GET sys[?]help=1", "body.openapi.paths./replication/*", build, endpoints},
		{"operations", "GET sys[?]help=1", "body.openapi.components.schemas.Replication*", build, endpoints},
		{"operations", "GET sys[?]help=1", "body.openapi.paths./plugins/*/replication*", build, catalog},
		{"operations", "GET sys/loggers", "body.data.core.replication", build, "replication has loggers of its own"},
		{"system status", "*health*", "body.replication_dr_mode", primary, role},
		{"settings", "an allowed origin", "body.replication_dr_mode", primary, role},
		{"system status", "*health*", "body.replication_performance_mode", primary, role},
		{"settings", "an allowed origin", "body.replication_performance_mode", primary, role},
		{"*", "*", "headers.X-Vault-Index", primary, index},
		{"system status", "*health*", "body.replication_performance_mode", secondary, role},
		{"settings", "an allowed origin", "body.replication_performance_mode", secondary, role},
		{"*", "*", "headers.X-Vault-Index", secondary, index},
		{"pki", "LIST pki/certs", "body.data.keys", secondary, issued},
		{"pki", "GET pki/crl/pem", "body", secondary, crl},
		{"pki", "GET pki/cert/crl", "body.data.certificate", secondary, crl},
		{"pki", "disabled CRL*", "body", secondary, crl},
		{"pki", "enable ACME*", "*", secondary, acme},
		{"pki", "GET pki/acme/directory", "*", secondary, acme},
		{"pki", "GET pki[?]help=1", "body.openapi.components.schemas.PkiGenerateIntermediateRequest", secondary, "of two paths of the engine that share the name of a schema the other one is listed"},
		{"operations", "the new key*", "body.encryptions", secondary, counts},
		{"operations", "the new key*", "body.data.encryptions", secondary, counts},
		{"external plugins", "DELETE sys/mounts/out", "*", secondary, "a secondary revokes its leases of the mount first, which takes longer than a forwarded request waits: it says so"},
		{"jwt", "left the first*", "body.data.member_entity_ids", secondary, "a list that has become empty is absent, as after a restart"},
		{"operations", "GET sys/loggers", "body.data.*", secondary, "the core of a secondary has been started twice, and its loggers are listed twice"},
		{"operations", "GET sys/rekey/init", "*", secondary, rekey},
	}
}
