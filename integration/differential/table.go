// SPDX-License-Identifier: MPL-2.0

package differential

import "slices"

// The targets' names, as the table of differences has them.
const (
	Stock     = "stock Vault"
	Single    = "single server"
	Primary   = "primary"
	Secondary = "performance secondary"
)

// Differences are the answers that differ on purpose.
func Differences() []Difference {
	build, primary, secondary := []string{Single, Primary, Secondary}, []string{Primary}, []string{Secondary}
	return slices.Concat(additions(build), shown(primary, `"primary"`, "dr", "performance"),
		shown(secondary, `"secondary"`, "performance"), indexes(primary, secondary), ofSecondary(secondary))
}

// additions are what this build has in any role and stock Vault does not.
func additions(build []string) []Difference {
	const (
		// The endpoints have tests of their own. Here it matters that nothing else in the
		// document has changed.
		endpoints = "stock Vault has stubs of Enterprise's endpoints, this build the endpoints"
		catalog   = "this build has a catalog of replication plugins"
	)
	return []Difference{
		{"operations", "OpenAPI", "body.paths./sys/replication/*", "*", build, endpoints},
		{"operations", "OpenAPI", "body.components.schemas.Replication*", "{*}", build, endpoints},
		{"operations", "OpenAPI", "body.paths./sys/plugins/catalog/replication*", "{*}", build, catalog},
		{"operations", "OpenAPI", "body.paths./sys/plugins/reload/replication/{name}", "{*}", build, catalog},
		{"operations", "GET sys?help=1", "body.help",
			`"## DESCRIPTION\n\nThe system backend is built-in to Vault*plugins/catalog/replication*`, build,
			"a text with all paths, which are compared one by one in body.openapi.paths"},
		{"operations", "GET sys?help=1", "body.openapi.paths./replication/*", "*", build, endpoints},
		{"operations", "GET sys?help=1", "body.openapi.components.schemas.Replication*", "{*}", build, endpoints},
		{"operations", "GET sys?help=1", "body.openapi.paths./plugins/catalog/replication*", "{*}", build, catalog},
		{"operations", "GET sys?help=1", "body.openapi.paths./plugins/reload/replication/{name}", "{*}", build, catalog},
		{"operations", "GET sys/loggers", "body.data.core.replication", `"info"`, build, "replication has loggers of its " +
			"own"},
	}
}

// shown are the places where the role of a target is shown.
func shown(target []string, role string, modes ...string) []Difference {
	const last = "this edition has no journal of which it could show the last sequence"
	out := []Difference{
		{"system status", "GET sys/leader", "body.last_wal", "*", target, last},
		{"system status", "GET sys/health", "body.last_wal", "*", target, last},
		{"system status", "health with a code", "body.last_wal", "*", target, last},
		{"settings", "an allowed origin", "body.last_wal", "*", target, last},
	}
	for _, mode := range modes {
		place := "body.replication_" + mode + "_mode"
		out = append(out,
			Difference{"system status", "GET sys/health", place, role, target, "the role is shown"},
			Difference{"system status", "health with a code", place, role, target, "the role is shown"},
			Difference{"settings", "an allowed origin", place, role, target, "the role is shown"},
		)
	}
	return out
}

// indexes hold for all sections and steps: an answer has the header when something was
// written before it, be it a login only.
func indexes(targets ...[]string) []Difference {
	var out []Difference
	for _, target := range targets {
		out = append(out, Difference{"*", "*", "headers.X-Vault-Index", `"<index>"`, target, "a client that moves between " +
			"clusters is told the state that its write needs"})
	}
	return out
}

// ofSecondary are the differences of a performance secondary.
func ofSecondary(secondary []string) []Difference {
	const (
		// The number of a CRL counts how often a cluster has built it.
		crl  = "each cluster has a CRL of its own, with what it has revoked and a number of its own"
		acme = "config/cluster is of each cluster, and ACME is switched on for all: the primary's own has to be set"
		pss  = "the engine documents this field from its first request to make an intermediate on, and the primary " +
			"carried that out"
		counts  = "each cluster counts its own encryptions, and this one has made none with the new key"
		loggers = "the core of a secondary has been started twice, and what it always has is listed twice"
	)
	return slices.Concat(
		[]Difference{
			{"pki", "LIST pki/certs", "body.data.keys", `["<s1>","<s2>","<s3>","<s4>","<serial>","<serial>","<serial>"]`,
				secondary, "a certificate is listed on the cluster that has issued it; root and nameless root were made by the " +
					"primary"},
			{"pki", "GET pki/crl/pem", "body", `"<PEM X509 CRL * by CN=root.test, 2 revoked, up to 72h0m0s>"`, secondary, crl},
			{"pki", "GET pki/cert/crl", "body.data.certificate", `"<PEM X509 CRL * by CN=root.test, 2 revoked, up to 72h0m0s>"`,
				secondary, crl},
			{"pki", "disabled CRL", "body", `"<PEM X509 CRL * by CN=root.test, * revoked, up to *h0m0s>"`, secondary,
				crl + "; a change of the configuration is taken up within a minute"},
			{"pki", "GET pki?help=1", "body.openapi.components.schemas.PkiGenerateIntermediateRequest.properties.use_pss",
				absent, secondary, pss},
			{"operations", "OpenAPI", "body.components.schemas.PkiGenerateIntermediateRequest.properties.use_pss", absent,
				secondary, pss},
			{"pki", "GET pki/acme/directory", "status", "404", secondary, acme},
			{"pki", "GET pki/acme/directory", "headers.Content-Type", `"application/json"`, secondary, acme},
			{"pki", "GET pki/acme/directory", "body", "null", secondary, acme},
			{"operations", "the new key", "body.encryptions", "0", secondary, counts},
			{"operations", "the new key", "body.data.encryptions", "0", secondary, counts},
			{"operations", "GET sys/loggers", "body.data.auth.token.<accessor of auth_token> #2", `"info"`, secondary, loggers},
			{"operations", "GET sys/loggers", "body.data.secrets.cubbyhole.<accessor of cubbyhole> #2", `"info"`, secondary,
				loggers},
			{"operations", "GET sys/loggers", "body.data.secrets.identity.<accessor of identity> #2", `"info"`, secondary,
				loggers},
			{"operations", "GET sys/loggers", "body.data.secrets.system.<accessor of system> #2", `"info"`, secondary, loggers},
			{"jwt", "left the first", "body.data.member_entity_ids", "null", secondary, "a list that has become empty is " +
				"absent, as after a restart"},
		},
		refused("pki", "enable ACME", "500",
			`["1 error occurred:\n\t* ACME feature requires local cluster 'path' field configuration to be set\n\n"]`, secondary,
			acme),
		refused("operations", "GET sys/rekey/init", "400",
			`["rekeying can only be performed on the primary cluster when replication is activated"]`, secondary,
			"Vault refuses it on a performance secondary"),
	)
}

// refused is an error in place of an answer. Nothing of the answer is there.
func refused(section, step, status, errors string, targets []string, reason string) []Difference {
	return []Difference{
		{section, step, "status", status, targets, reason},
		{section, step, "body.errors", errors, targets, reason},
		{section, step, "body.*", absent, targets, reason},
	}
}
