// SPDX-License-Identifier: MPL-2.0

package differential

// external uses the plugins of integration/externalplugin, which speak to Vault
// over a process boundary: the values say where the program is.
func external() []Step {
	program := func(kind string) Body {
		return Body{"command": "${plugin_command}", "sha256": "${plugin_sha256}", "args": []string{"-type=" + kind}, "version": "v1.2.3"}
	}
	return []Step{
		write("sys/plugins/catalog/secret/outside", program("secret")), read("sys/plugins/catalog/secret/outside?version=v1.2.3"),
		write("sys/plugins/catalog/auth/outside", program("auth")), list("sys/plugins/catalog/secret"),
		write("sys/plugins/catalog/secret/wrong", Body{"command": "${plugin_command}", "sha256": "0000000000000000000000000000000000000000000000000000000000000000"}), mount("wrong", Body{"type": "wrong"}).fails(400), remove("sys/plugins/catalog/secret/wrong"),
		mount("out", Body{"type": "outside"}), read("sys/mounts/out"),
		write("out/entries/a", Body{"value": "one", "number": 9007199254740993}), read("out/entries/a"), write("out/entries/a", Body{"value": "two"}).named("overwrite"), read("out/entries/a").named("read overwritten"), write("out/entries/b/c", Body{"value": "ü"}), list("out/entries"), list("out/entries/b"), write("out/entries/bad", Body{}).fails(400), read("out/entries/nothing").fails(404), remove("out/entries/a"), read("out/entries/a").named("read deleted").fails(404),
		write("out/local/a", Body{"value": "stays"}), read("out/local/a"), list("out/local"),
		write("out/swallow/a", Body{"value": "maybe"}), read("out/entries/a").named("read what may have failed"),
		write("out/counter", nil), write("out/counter", nil).named("count again"), read("out/counter"), read("out/runs").random("data.runs"),
		read("out/creds/user").save("lease", "lease_id").random("data.secret"), write("sys/leases/lookup", Body{"lease_id": "${lease}"}).remaining("data.ttl"), write("sys/leases/renew", Body{"lease_id": "${lease}", "increment": 300}), read("out/renewed/user"), read("out/revoked/user").fails(404), write("sys/leases/revoke", Body{"lease_id": "${lease}", "sync": true}), read("out/revoked/user").named("revoked"), write("sys/leases/renew", Body{"lease_id": "${lease}"}).named("renew revoked").fails(400),
		read("out/fail/denied").fails(403), read("out/fail/invalid").fails(400), read("out/fail/error").fails(500), read("out/fail/coded").fails(418), read("out/fail/unsupported").fails(405), read("out/raw").as(NoToken), read("out/creds/user").wrapped("1m").named("wrapped credential").save("w", "wrap_info.token"), write("sys/wrapping/unwrap", nil).as("${w}").named("unwrap").random("data.secret"),
		enableAuth("outauth", "outside"), write("auth/outauth/users/u", Body{"password": "x", "policies": "p1", "metadata": Body{"team": "blue"}}), read("auth/outauth/users/u"), list("auth/outauth/users"), login("auth/outauth/login", Body{"name": "u", "password": "x"}).save("t", "auth.client_token").save("entity", "auth.entity_id"), read("auth/token/lookup-self").as("${t}").remaining("data.ttl"), write("auth/token/renew-self", nil).as("${t}"), login("auth/outauth/login", Body{"name": "u", "password": "y"}).named("wrong password").fails(403), write("auth/outauth/users/u", Body{"password": "x", "policies": "p1,p2", "metadata": Body{"team": "red"}}).named("change the user"), login("auth/outauth/login", Body{"name": "u", "password": "x"}).named("login changed"), read("identity/entity/id/${entity}"), remove("auth/outauth/users/u"), write("auth/token/renew-self", nil).as("${t}").named("renew deleted").fails(500), help("out"), help("auth/outauth"),
		write("sys/plugins/reload/backend", Body{"plugin": "outside"}), read("out/entries/b/c").named("read after the reload"), remove("sys/plugins/catalog/secret/outside?version=v1.2.3").fails(0), remove("sys/auth/outauth"), unmount("out"), read("sys/plugins/catalog/secret/outside").named("no version was named").fails(404), remove("identity/entity/id/${entity}"),
	}
}
