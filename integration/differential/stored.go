// SPDX-License-Identifier: MPL-2.0

package differential

// storing are engines and auth methods whose services are not there: what they store and
// show, and how they fail without the service.
func storing() []Step {
	engines := []struct {
		kind, path string
		body       Body
		list       string
	}{
		{"aws", "config/root", Body{"access_key": "AKIAEXAMPLE", "secret_key": "secret", "region": "us-east-1"}, ""},
		{"aws", "config/lease", Body{"lease": "30m", "lease_max": "1h"}, ""},
		{"aws", "roles/r", Body{"credential_type": "iam_user", "policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
			"roles"},
		{"azure", "config", Body{"subscription_id": "00000000-0000-0000-0000-000000000001",
			"tenant_id": "00000000-0000-0000-0000-000000000002", "client_id": "id", "client_secret": "secret"}, ""},
		{"consul", "config/access", Body{"address": "127.0.0.1:1", "token": "t"}, ""},
		{"consul", "roles/r", Body{"consul_policies": "p", "ttl": "1h"}, "roles"},
		{"gcp", "config", Body{"ttl": "1h", "max_ttl": "2h"}, ""},
		{"kubernetes", "config", Body{"kubernetes_host": "https://127.0.0.1:1", "disable_local_ca_jwt": true}, ""},
		{"kubernetes", "roles/r", Body{"allowed_kubernetes_namespaces": "*", "service_account_name": "sa"}, "roles"},
		{"nomad", "config/access", Body{"address": "http://127.0.0.1:1", "token": "t"}, ""},
		{"nomad", "config/lease", Body{"ttl": "1h", "max_ttl": "2h"}, ""},
		{"nomad", "role/r", Body{"policies": "p"}, "role"},
		{"rabbitmq", "config/lease", Body{"ttl": "1h", "max_ttl": "2h"}, ""},
		{"rabbitmq", "roles/r", Body{"tags": "administrator", "vhosts": `{"/":{"configure":".*"}}`}, "roles"},
		{"ldap", "config", Body{"url": "ldap://127.0.0.1:1", "binddn": "cn=admin", "bindpass": "secret"}, ""},
		{"ldap", "role/r", Body{"creation_ldif": "dn: cn={{.Username}}\nchangetype: add",
			"deletion_ldif": "dn: cn={{.Username}}\nchangetype: delete"}, "role"},
		{"mongodbatlas", "config", Body{"public_key": "p", "private_key": "k"}, ""},
		{"mongodbatlas", "roles/r", Body{"organization_id": "o", "roles": "ORG_MEMBER"}, "roles"},
		{"terraform", "config", Body{"token": "t"}, ""},
		{"terraform", "role/r", Body{"user_id": "u"}, "role"},
		{"alicloud", "config", Body{"access_key": "a", "secret_key": "s"}, ""},
		{"alicloud", "role/r", Body{"role_arn": "acs:ram::1:role/r"}, "role"},
		{"openldap", "config", Body{"url": "ldap://127.0.0.1:1", "binddn": "cn=admin", "bindpass": "secret"}, ""},
		{"ad", "config", Body{"url": "ldap://127.0.0.1:1", "binddn": "cn=admin", "bindpass": "secret"}, ""},
		{"gcpkms", "config", Body{"scopes": "https://www.googleapis.com/auth/kms"}, ""},
	}
	var steps []Step
	mounted := ""
	for _, e := range engines {
		base := "stored-" + e.kind
		if mounted != base {
			steps = append(steps, mount(base, Body{"type": e.kind}), help(base))
			mounted = base
		}
		steps = append(steps, stored(base, e.path, e.body, e.list)...)
	}
	return append(steps,
		// What was begun outside is noted and undone later.
		write("stored-aws/config/root", Body{"access_key": "AKIAEXAMPLE", "secret_key": "secret", "region": "us-east-1",
			"iam_endpoint": "http://127.0.0.1:1", "sts_endpoint": "http://127.0.0.1:1", "max_retries": 0}).named(
			"no service there"),
		write("stored-aws/roles/begun",
			Body{"credential_type": "iam_user", "policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
		read("stored-aws/creds/begun").fails(400),
		write("stored-rabbitmq/config/connection", Body{"connection_uri": "http://127.0.0.1:1", "username": "u",
			"password": "p", "verify_connection": false}),
		read("stored-rabbitmq/config/connection").fails(405),
		read("stored-consul/creds/nothing").fails(400), read("stored-aws/creds/nothing").fails(400),
		read("stored-nomad/creds/nothing").fails(400),
		read("stored-consul/creds/r").fails(400), read("stored-nomad/creds/r").fails(500),
		write("stored-ldap/library/l", Body{"service_account_names": "a,b", "ttl": "1h"}).fails(500),
	)
}

// stored writes, reads and lists one thing.
func stored(base, path string, body Body, in string) []Step {
	steps := []Step{write(base+"/"+path, body), read(base + "/" + path)}
	if in != "" {
		steps = append(steps, list(base+"/"+in), remove(base+"/"+path).last(),
			read(base+"/"+path).named("read deleted "+base+"/"+path).fails(404).last())
	}
	return steps
}

func storingAuth() []Step {
	methods := []struct {
		kind, path string
		body       Body
		list       string
	}{
		{"ldap", "config", Body{"url": "ldap://127.0.0.1:1", "userdn": "ou=u", "groupdn": "ou=g", "request_timeout": 5,
			"token_policies": "p"}, ""},
		{"ldap", "groups/g", Body{"policies": "a,b"}, "groups"},
		{"ldap", "users/u", Body{"policies": "a", "groups": "g"}, "users"},
		{"radius", "config", Body{"host": "127.0.0.1", "secret": "s", "dial_timeout": 1, "read_timeout": 1}, ""},
		{"radius", "users/u", Body{"policies": "p"}, "users"},
		{"okta", "config", Body{"org_name": "o", "base_url": "okta.com", "bypass_okta_mfa": true}, ""},
		{"okta", "groups/g", Body{"policies": "p"}, "groups"},
		{"kubernetes", "config", Body{"kubernetes_host": "https://127.0.0.1:1", "disable_local_ca_jwt": true,
			"kubernetes_ca_cert": "${client_cert_pem}"}, ""},
		{"kubernetes", "role/r", Body{"bound_service_account_names": "sa", "bound_service_account_namespaces": "ns",
			"token_policies": "p"}, "role"},
		{"aws", "config/client", Body{"access_key": "a", "secret_key": "s", "sts_region": "us-east-1"}, ""},
		{"aws", "role/r", Body{"auth_type": "iam", "bound_iam_principal_arn": "arn:aws:iam::1:role/r",
			"resolve_aws_unique_ids": false, "token_policies": "p"}, "roles"},
		{"azure", "config", Body{"tenant_id": "t", "resource": "https://r"}, ""},
		{"azure", "role/r", Body{"bound_subscription_ids": "s", "token_policies": "p"}, "role"},
		{"gcp", "config", Body{"iam_alias": "role_id"}, ""},
		{"gcp", "role/r", Body{"type": "iam", "bound_service_accounts": "s@p.iam", "token_policies": "p"}, "roles"},
		{"github", "config", Body{"organization": "o", "organization_id": 7}, ""},
		{"github", "map/teams/t", Body{"value": "p"}, ""},
		{"github", "map/users/u", Body{"value": "p"}, ""},
		{"kerberos", "config/ldap", Body{"url": "ldap://127.0.0.1:1"}, ""},
		{"kerberos", "groups/g", Body{"policies": "p"}, "groups"},
		{"oci", "config", Body{"home_tenancy_id": "ocid1.tenancy.oc1..a"}, ""},
		{"oci", "role/r", Body{"ocid_list": "ocid1.group.oc1..a"}, "role"},
		{"cf", "roles/r", Body{"bound_organization_ids": "o"}, "roles"},
		{"alicloud", "role/r", Body{"arn": "acs:ram::1:role/r"}, "role"},
		{"pcf", "roles/r", Body{"bound_organization_ids": "o"}, "roles"},
		{"oidc", "config", Body{"jwt_validation_pubkeys": "${jwt_public_key}", "bound_issuer": "https://issuer.test"}, ""},
		{"oidc", "role/r", Body{"role_type": "jwt", "user_claim": "user", "bound_audiences": "vault", "token_policies": "p"},
			"role"},
	}
	var steps []Step
	mounted := ""
	for _, m := range methods {
		base := "stored-" + m.kind
		if mounted != base {
			steps = append(steps, enableAuth(base, m.kind), help("auth/"+base))
			mounted = base
		}
		steps = append(steps, stored("auth/"+base, m.path, m.body, m.list)...)
	}
	return append(steps,
		login("auth/stored-ldap/login/u", Body{"password": "p"}).fails(500),
		login("auth/stored-ldap/login/u", Body{}).named("LDAP without a password").fails(500),
		login("auth/stored-radius/login/u", Body{}).fails(400),
		login("auth/stored-kubernetes/login", Body{"role": "r", "jwt": "${jwt_good}"}).fails(500),
		login("auth/stored-aws/login", Body{"role": "r"}).fails(400),
		login("auth/stored-gcp/login", Body{"role": "r", "jwt": "x"}).fails(400),
	)
}

// removed are engines and auth methods that Vault had once.
func removed() []Step {
	var steps []Step
	for _, kind := range []string{"cassandra", "mongodb", "mssql", "mysql", "postgresql"} {
		steps = append(steps, mount("removed-"+kind, Body{"type": kind}).fails(400))
	}
	return append(steps, enableAuth("removed-app-id", "app-id").fails(400))
}
