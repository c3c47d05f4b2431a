// SPDX-License-Identifier: MPL-2.0

package differential

func userpass() []Step {
	return []Step{
		enableAuth("up", "userpass"),
		read("sys/auth/up").save("accessor", "data.accessor"),
		list("auth/up/users").fails(404).named("list no users"),
		write("auth/up/users/jane", Body{"password": "one", "token_policies": "default,p1", "token_ttl": "20m", "token_max_ttl": "2h"}), read("auth/up/users/jane"),
		write("auth/up/users/joe", Body{}).named("no password").fails(400), write("auth/up/users/joe", Body{"password": "x", "token_bound_cidrs": "10.0.0.0/8"}), list("auth/up/users"),
		login("auth/up/login/jane", Body{"password": "one"}).save("t1", "auth.client_token").save("a1", "auth.accessor").save("entity", "auth.entity_id"),
		login("auth/up/login/jane", Body{"password": "one"}).named("login again").save("t2", "auth.client_token"),
		read("auth/token/lookup-self").as("${t1}").remaining("data.ttl"), read("identity/entity/id/${entity}"),
		login("auth/up/login/jane", Body{"password": "wrong"}).named("wrong password").fails(400), login("auth/up/login/nobody", Body{"password": "x"}).fails(400), login("auth/up/login/jane", Body{}).named("login without a password").fails(400),
		login("auth/up/login/joe", Body{"password": "x"}).named("login from a wrong address").fails(400),
		login("auth/up/login/jane", Body{"password": "one"}).wrapped("60s").named("wrapped login").save("w", "wrap_info.token").save("wa", "wrap_info.wrapped_accessor"),
		write("sys/wrapping/lookup", Body{"token": "${w}"}).as(NoToken), write("sys/wrapping/unwrap", nil).as("${w}").save("t3", "auth.client_token"), read("auth/token/lookup-self").as("${t3}").remaining("data.ttl").named("look up the unwrapped"),
		write("auth/up/users/jane/policies", Body{"token_policies": "p2"}), write("auth/token/renew-self", Body{"increment": "10m"}).as("${t1}").named("renew with other policies").fails(500),
		write("auth/up/users/jane/policies", Body{"token_policies": "default,p1"}).named("policies as before"), write("auth/token/renew-self", nil).as("${t1}"),
		write("auth/up/users/jane/password", Body{"password": "two"}), login("auth/up/login/jane", Body{"password": "one"}).named("the old password").fails(400), login("auth/up/login/jane", Body{"password": "two"}).named("the new password"),
		login("auth/up/login/JANE", Body{"password": "two"}).named("capitals"),
		write("auth/up/users/batch", Body{"password": "b", "token_type": "batch", "token_ttl": "10m"}), login("auth/up/login/batch", Body{"password": "b"}).save("tb", "auth.client_token"), read("auth/token/lookup-self").as("${tb}").remaining("data.ttl").named("look up batch"), write("auth/token/renew-self", nil).as("${tb}").named("renew batch").fails(400),
		write("auth/up/users/once", Body{"password": "b", "token_num_uses": 2}), login("auth/up/login/once", Body{"password": "b"}).save("to", "auth.client_token"), read("auth/token/lookup-self").as("${to}").remaining("data.ttl").named("first use"), read("auth/token/lookup-self").as("${to}").remaining("data.ttl").named("second use"), read("auth/token/lookup-self").as("${to}").named("third use").fails(403),
		write("auth/up/users/periodic", Body{"password": "b", "token_period": "30m", "token_explicit_max_ttl": "3h", "token_no_default_policy": true}), login("auth/up/login/periodic", Body{"password": "b"}), read("auth/up/users/periodic"),
		write("auth/up/users/bad", Body{"password": "b", "token_ttl": "3h", "token_max_ttl": "1h"}).fails(400), write("auth/up/users/bad", Body{"password": "b", "token_type": "odd"}).named("odd token type").fails(400),
		write("auth/up/users/jane", Body{"token_bound_cidrs": "127.0.0.1/32"}).named("bind the user"), login("auth/up/login/jane", Body{"password": "two"}).named("login bound").save("t4", "auth.client_token"), read("auth/token/lookup-self").as("${t4}").remaining("data.ttl").named("look up bound"),
		remove("auth/up/users/jane"), read("auth/up/users/jane").named("read deleted").fails(404), login("auth/up/login/jane", Body{"password": "two"}).named("login deleted").fails(400), write("auth/token/renew-self", nil).as("${t2}").named("renew deleted").fails(500),
		write("sys/auth/up/tune", Body{"default_lease_ttl": "15m", "max_lease_ttl": "1h", "token_type": "default-service", "user_lockout_config": Body{"lockout_threshold": "2", "lockout_duration": "10m"}}), read("sys/auth/up/tune"),
		login("auth/up/login/periodic", Body{"password": "x"}).named("first failure").fails(400), login("auth/up/login/periodic", Body{"password": "x"}).named("second failure").fails(400), login("auth/up/login/periodic", Body{"password": "b"}).named("locked out").fails(403),
		read("sys/locked-users"), write("sys/locked-users/${accessor}/unlock/periodic", nil), login("auth/up/login/periodic", Body{"password": "b"}).named("unlocked"),
		help("auth/up"), help("auth/up/login/x"), read("auth/up/oidc").fails(404),
		remove("sys/auth/up"), read("auth/token/lookup-self").as("${t1}").named("its tokens ended").fails(403), read("auth/up/users/periodic").named("read disabled").fails(404), remove("sys/auth/up").named("disable again"),
		remove("identity/entity/id/${entity}"),
	}
}

func appRole() []Step {
	return []Step{
		enableAuth("app", "approle"),
		write("auth/app/role/r", Body{"token_policies": "p1", "token_ttl": "20m", "secret_id_ttl": "1h", "secret_id_num_uses": 3}), read("auth/app/role/r"), list("auth/app/role"),
		read("auth/app/role/r/role-id").save("role_id", "data.role_id"),
		write("auth/app/role/r/secret-id", Body{"metadata": `{"host":"one"}`}).save("s1", "data.secret_id").save("sa1", "data.secret_id_accessor"),
		login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "${s1}"}).save("t", "auth.client_token").save("entity", "auth.entity_id"), read("auth/token/lookup-self").as("${t}").remaining("data.ttl"),
		write("auth/app/role/r/secret-id/lookup", Body{"secret_id": "${s1}"}), write("auth/app/role/r/secret-id-accessor/lookup", Body{"secret_id_accessor": "${sa1}"}),
		login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "${s1}"}).named("second use"), login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "${s1}"}).named("last use"), login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "${s1}"}).named("used up").fails(400),
		write("auth/app/role/r/secret-id/lookup", Body{"secret_id": "${s1}"}).named("look up used up").fails(0), list("auth/app/role/r/secret-id").fails(404).named("list none"),
		login("auth/app/login", Body{"role_id": "${role_id}"}).named("no secret id").fails(400), login("auth/app/login", Body{"role_id": "x", "secret_id": "y"}).named("wrong role").fails(400), login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "y"}).named("wrong secret id").fails(400), login("auth/app/login", Body{}).named("nothing").fails(400),
		write("auth/app/role/r/custom-secret-id", Body{"secret_id": "my-own-secret-id", "cidr_list": "127.0.0.1/32", "token_bound_cidrs": "127.0.0.1/32"}).save("sa2", "data.secret_id_accessor"), write("auth/app/role/r/custom-secret-id", Body{"secret_id": "my-own-secret-id"}).named("the same again").fails(500),
		login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "my-own-secret-id"}).named("login with a custom one"), list("auth/app/role/r/secret-id"),
		write("auth/app/role/r/secret-id", Body{"cidr_list": "10.0.0.0/8"}).named("bound elsewhere").save("s3", "data.secret_id").save("sa3", "data.secret_id_accessor"), login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "${s3}"}).named("from elsewhere").fails(400), list("auth/app/role/r/secret-id").named("list two"),
		write("auth/app/role/r/secret-id-accessor/destroy", Body{"secret_id_accessor": "${sa3}"}), write("auth/app/role/r/secret-id-accessor/lookup", Body{"secret_id_accessor": "${sa3}"}).named("look up destroyed").fails(404),
		write("auth/app/role/r/secret-id/destroy", Body{"secret_id": "my-own-secret-id"}), login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "my-own-secret-id"}).named("login with destroyed").fails(400),
		write("auth/app/role/r/secret-id", nil).wrapped("1m").named("wrapped").save("w", "wrap_info.token"), write("sys/wrapping/unwrap", nil).as("${w}").save("s4", "data.secret_id").save("sa4", "data.secret_id_accessor"), login("auth/app/login", Body{"role_id": "${role_id}", "secret_id": "${s4}"}).named("login with the unwrapped"),
		write("auth/app/role/r/role-id", Body{"role_id": "chosen"}), read("auth/app/role/r/role-id").named("read chosen"), login("auth/app/login", Body{"role_id": "chosen", "secret_id": "${s4}"}).named("login with the chosen"),
		write("auth/app/role/other", Body{"role_id": "chosen"}).named("the id of another").fails(500), write("auth/app/role/free", Body{"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.1/32"}), read("auth/app/role/free/role-id").save("free", "data.role_id"), login("auth/app/login", Body{"role_id": "${free}"}).named("login without a secret id"),
		write("auth/app/role/bad", Body{"bind_secret_id": false}).fails(500), write("auth/app/role/local", Body{"local_secret_ids": true}), write("auth/app/role/local/secret-id", nil).save("s5", "data.secret_id").save("sa5", "data.secret_id_accessor"), read("auth/app/role/local/role-id").save("local", "data.role_id"), login("auth/app/login", Body{"role_id": "${local}", "secret_id": "${s5}"}).named("login with a local one"),
		write("auth/app/role/r/policies", Body{"token_policies": "p2,p3"}), read("auth/app/role/r/policies"), remove("auth/app/role/r/policies"), read("auth/app/role/r/policies").named("read deleted policies"), write("auth/app/role/r/token-ttl", Body{"token_ttl": "5m"}), read("auth/app/role/r/token-ttl"), write("auth/app/role/r/period", Body{"token_period": "7m"}), read("auth/app/role/r").named("read changed"), read("auth/app/role/r/local-secret-ids"),
		write("auth/app/tidy/secret-id", nil), remove("auth/app/role/r"), read("auth/app/role/r").named("read deleted").fails(404), login("auth/app/login", Body{"role_id": "chosen", "secret_id": "${s4}"}).named("login with deleted").fails(400), help("auth/app"), help("auth/app/role/x"),
		remove("sys/auth/app"),
	}
}

func certificate() []Step {
	return []Step{
		enableAuth("crt", "cert"),
		write("auth/crt/certs/c", Body{"certificate": "${client_cert_pem}", "display_name": "client", "token_policies": "p1", "token_ttl": "20m", "allowed_common_names": "client.*"}), read("auth/crt/certs/c"), list("auth/crt/certs"),
		login("auth/crt/login", nil).withCert().save("t", "auth.client_token"), read("auth/token/lookup-self").as("${t}").remaining("data.ttl"),
		login("auth/crt/login", Body{"name": "c"}).withCert().named("by name"), login("auth/crt/login", Body{"name": "other"}).withCert().named("by another name").fails(400), login("auth/crt/login", nil).named("without a certificate").fails(400),
		write("auth/token/renew-self", nil).as("${t}").withCert(), write("auth/token/renew-self", nil).as("${t}").named("renew without").fails(500),
		write("auth/crt/certs/bad", Body{"certificate": "rubbish"}).fails(400), write("auth/crt/config", Body{"disable_binding": true}), read("auth/crt/config"), write("auth/token/renew-self", nil).as("${t}").named("renew unbound"),
		write("auth/crt/certs/c", Body{"certificate": "${client_cert_pem}", "allowed_common_names": "other.*"}).named("other names"), login("auth/crt/login", nil).withCert().named("a name that is not allowed").fails(400),
		read("auth/crt/crls/none").fails(404), write("auth/crt/crls/c", Body{"crl": "rubbish"}).fails(400), list("auth/crt/crls"), remove("auth/crt/certs/c"), login("auth/crt/login", nil).withCert().named("login deleted").fails(400), help("auth/crt"), remove("sys/auth/crt"),
	}
}

func jwtLogin() []Step {
	return []Step{
		enableAuth("jwt", "jwt"), read("sys/auth/jwt").save("accessor", "data.accessor"),
		read("auth/jwt/config").fails(0).named("no config yet"), login("auth/jwt/login", Body{"role": "r", "jwt": "${jwt_good}"}).named("login before").fails(400),
		write("auth/jwt/config", Body{"jwt_validation_pubkeys": "${jwt_public_key}", "bound_issuer": "https://issuer.test", "default_role": "r"}), read("auth/jwt/config"), write("auth/jwt/config", Body{"jwt_validation_pubkeys": "rubbish"}).named("no key").fails(400), write("auth/jwt/config", Body{"jwt_validation_pubkeys": "${jwt_public_key}", "oidc_discovery_url": "https://x"}).named("two sources").fails(400),
		write("auth/jwt/role/r", Body{"role_type": "jwt", "user_claim": "user", "groups_claim": "groups", "bound_audiences": "vault", "claim_mappings": Body{"team": "team"}, "token_policies": "p1", "token_ttl": "20m"}), read("auth/jwt/role/r"), list("auth/jwt/role"),
		write("auth/jwt/role/bad", Body{"role_type": "jwt"}).fails(400), write("auth/jwt/role/unbound", Body{"role_type": "jwt", "user_claim": "user"}).fails(400),
		write("identity/group", Body{"name": "jwt-external", "type": "external", "policies": "p-ext"}).save("group", "data.id"), write("identity/group-alias", Body{"name": "g1", "mount_accessor": "${accessor}", "canonical_id": "${group}"}).save("galias", "data.id"),
		write("identity/group", Body{"name": "jwt-external2", "type": "external", "policies": "p-ext2"}).save("group2", "data.id").named("second group"), write("identity/group-alias", Body{"name": "g3", "mount_accessor": "${accessor}", "canonical_id": "${group2}"}).save("galias2", "data.id").named("its alias"),
		login("auth/jwt/login", Body{"role": "r", "jwt": "${jwt_good}"}).save("t", "auth.client_token").save("entity", "auth.entity_id"), read("auth/token/lookup-self").as("${t}").remaining("data.ttl"), read("identity/group/id/${group}"), read("identity/entity/id/${entity}"),
		login("auth/jwt/login", Body{"jwt": "${jwt_regrouped}"}).named("other groups and metadata, default role"), read("identity/group/id/${group}").named("left the first"), read("identity/group/id/${group2}").named("joined the second"), read("identity/entity/id/${entity}").named("changed metadata"), read("auth/token/lookup-self").as("${t}").remaining("data.ttl").named("policies of the older token"),
		login("auth/jwt/login", Body{"role": "r", "jwt": "${jwt_audience}"}).named("wrong audience").fails(400), login("auth/jwt/login", Body{"role": "r", "jwt": "${jwt_expired}"}).named("expired").fails(400).random("errors.0"), login("auth/jwt/login", Body{"role": "r", "jwt": "${jwt_stranger}"}).named("a stranger's").fails(400), login("auth/jwt/login", Body{"role": "r", "jwt": "rubbish"}).named("rubbish").fails(400), login("auth/jwt/login", Body{"role": "none", "jwt": "${jwt_good}"}).named("no role").fails(400), login("auth/jwt/login", Body{"role": "r"}).named("no token").fails(400),
		write("auth/jwt/oidc/auth_url", Body{"role": "r", "redirect_uri": "https://x"}).as(NoToken).fails(400),
		write("auth/token/renew-self", nil).as("${t}"), remove("auth/jwt/role/r"), read("auth/jwt/role/r").named("read deleted").fails(404), write("auth/token/renew-self", nil).as("${t}").named("renew deleted").fails(500), help("auth/jwt"),
		remove("identity/group/id/${group}"), remove("identity/group/id/${group2}"), remove("identity/entity/id/${entity}"), remove("sys/auth/jwt"),
	}
}
