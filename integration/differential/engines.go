// SPDX-License-Identifier: MPL-2.0

package differential

func ssh() []Step {
	return []Step{
		mount("ssh", Body{"type": "ssh"}),
		read("ssh/config/ca").fails(400), read("ssh/public_key").as(NoToken).named("no public key").fails(400),
		write("ssh/config/ca", Body{"generate_signing_key": true, "key_type": "ed25519"}).random("data.public_key"), read("ssh/config/ca").named("read the CA").random("data.public_key"),
		write("ssh/config/ca", Body{"generate_signing_key": true}).named("configure again").fails(400),
		read("ssh/public_key").as(NoToken),
		write("ssh/roles/ca", Body{"key_type": "ca", "allow_user_certificates": true, "allowed_users": "*", "default_user": "ubuntu", "ttl": "30m", "default_extensions": Body{"permit-pty": ""}}), read("ssh/roles/ca"),
		write("ssh/sign/ca", Body{"public_key": sshKey, "valid_principals": "jane"}).random("data.serial_number", "data.signed_key"),
		write("ssh/sign/ca", Body{"public_key": "rubbish"}).named("sign rubbish").fails(400), write("ssh/sign/nothing", Body{"public_key": sshKey}).fails(400),
		write("ssh/issue/ca", Body{"key_type": "ed25519"}).random("data.serial_number", "data.signed_key", "data.private_key"),
		write("ssh/roles/otp", Body{"key_type": "otp", "default_user": "root", "cidr_list": "10.0.0.0/8"}), read("ssh/roles/otp"), list("ssh/roles"),
		write("ssh/creds/otp", Body{"ip": "10.1.2.3"}).save("otp", "data.key").save("lease", "lease_id"),
		write("ssh/creds/otp", Body{"ip": "11.1.2.3"}).named("address outside").fails(400), write("ssh/creds/otp", Body{"ip": "x"}).named("no address").fails(400),
		write("ssh/lookup", Body{"ip": "10.1.2.3"}),
		write("ssh/verify", Body{"otp": "${otp}"}).as(NoToken), write("ssh/verify", Body{"otp": "${otp}"}).as(NoToken).named("verify again").fails(400),
		write("ssh/creds/otp", Body{"ip": "10.1.2.4"}).named("another password").save("otp2", "data.key").save("lease2", "lease_id"),
		write("sys/leases/revoke", Body{"lease_id": "${lease2}"}), write("ssh/verify", Body{"otp": "${otp2}"}).as(NoToken).named("verify revoked").fails(400),
		write("ssh/config/zeroaddress", Body{"roles": "otp"}), read("ssh/config/zeroaddress"), write("ssh/config/zeroaddress", Body{"roles": "nothing"}).named("no such role").fails(400), remove("ssh/config/zeroaddress"),
		write("ssh/roles/bad", Body{"key_type": "dynamic"}).fails(400), remove("ssh/roles/otp"), read("ssh/roles/otp").named("read deleted").fails(404),
		remove("ssh/config/ca"), read("ssh/config/ca").named("read deleted CA").fails(400), help("ssh"), unmount("ssh"),
	}
}

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfIPJPbC0mmKGUgfpr1bbLNj1cvO1ZkPS7/ZmAuVc1N test"

func totp() []Step {
	return []Step{
		mount("totp", Body{"type": "totp"}),
		write("totp/keys/made", Body{"generate": true, "issuer": "Vault", "account_name": "jane"}).random("data.barcode", "data.url"), read("totp/keys/made"),
		write("totp/keys/given", Body{"url": "otpauth://totp/Vault:joe?secret=JBSWY3DPEHPK3PXP&issuer=Vault&period=30&digits=8&algorithm=SHA256"}), read("totp/keys/given"), list("totp/keys"),
		read("totp/code/given").save("code", "data.code"),
		write("totp/code/given", Body{"code": "${code}"}), write("totp/code/given", Body{"code": "${code}"}).named("a used code").fails(400),
		write("totp/code/given", Body{"code": "x"}).named("no code"), write("totp/code/given", Body{}).named("no code at all").fails(400),
		read("totp/code/nothing").fails(400), write("totp/keys/bad", Body{"generate": true}).fails(400), write("totp/keys/bad", Body{"url": "rubbish"}).named("bad URL").fails(400),
		remove("totp/keys/given"), read("totp/keys/given").named("read deleted").fails(404), read("totp/code/given").named("code of deleted").fails(400), list("totp/keys").named("list the other"), help("totp"), unmount("totp"),
	}
}

// database needs a PostgreSQL: the target's values say where, and which of its
// users belongs to the target.
func database() []Step {
	creation := `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`
	connection := Body{"plugin_name": "postgresql-database-plugin", "allowed_roles": "app,static,limited", "connection_url": "${postgres_url}", "username": "${postgres_admin}", "password": "${postgres_password}"}
	return []Step{
		mount("db", Body{"type": "database"}),
		write("db/config/main", connection), read("db/config/main"), list("db/config"),
		write("db/config/bad", Body{"plugin_name": "nonsense", "allowed_roles": "*"}).fails(400),
		write("db/config/down", Body{"plugin_name": "postgresql-database-plugin", "connection_url": "postgresql://a:b@127.0.0.1:1/x?sslmode=disable", "verify_connection": false}), read("db/config/down"),
		write("db/roles/app", Body{"db_name": "main", "default_ttl": "20m", "max_ttl": "2h", "creation_statements": creation}), read("db/roles/app"), list("db/roles"),
		patch("db/roles/app", Body{"default_ttl": "30m"}), read("db/roles/app").named("read patched"),
		write("db/roles/bad", Body{"db_name": "main"}).fails(500), read("db/roles/bad").fails(404),
		read("db/creds/app").save("lease", "lease_id").save("user", "data.username").random("data.password"),
		write("sys/leases/lookup", Body{"lease_id": "${lease}"}).remaining("data.ttl"), list("sys/leases/lookup/db/creds/app"),
		write("sys/leases/renew", Body{"lease_id": "${lease}", "increment": 600}), write("sys/leases/renew", Body{"lease_id": "${lease}", "increment": 99999999}).named("renew beyond the end").remaining("lease_duration"),
		write("sys/leases/revoke", Body{"lease_id": "${lease}"}), write("sys/leases/lookup", Body{"lease_id": "${lease}"}).named("look up revoked").fails(400),
		read("db/creds/app").named("a second credential").save("lease2", "lease_id").random("data.username", "data.password"),
		read("db/creds/app").named("a third credential").save("lease3", "lease_id").random("data.username", "data.password"),
		write("sys/leases/revoke-prefix/db/creds", nil), write("sys/leases/lookup", Body{"lease_id": "${lease3}"}).named("look up the third").fails(400), list("sys/leases/lookup/db/creds/app").named("list none").fails(404),
		read("db/creds/nothing").fails(400), write("db/roles/other", Body{"db_name": "main", "creation_statements": creation}), read("db/creds/other").named("a role that is not allowed").fails(500),
		write("db/static-roles/static", Body{"db_name": "main", "username": "${postgres_static_user}", "rotation_period": "1h"}), read("db/static-roles/static"), list("db/static-roles"),
		read("db/static-creds/static").save("p1", "data.password").remaining("data.ttl"), write("db/rotate-role/static", nil), read("db/static-creds/static").named("read rotated").save("p2", "data.password").remaining("data.ttl"),
		write("db/static-roles/static", Body{"db_name": "main", "username": "another", "rotation_period": "1h"}).named("another user").fails(400),
		write("db/reset/main", nil), read("db/creds/app").named("after the reset").random("data.username", "data.password"), write("db/reset/nothing", nil).fails(400),
		write("auth/token/create", Body{"ttl": "1h"}).save("token", "auth.client_token"),
		read("db/creds/app").named("credential of a token").as("${token}").save("lease4", "lease_id").random("data.username", "data.password"),
		write("auth/token/revoke", Body{"token": "${token}"}), write("sys/leases/lookup", Body{"lease_id": "${lease4}"}).named("it ended with its token").fails(400),
		remove("db/static-roles/static"), remove("db/roles/app"), remove("db/config/main"), read("db/config/main").named("read deleted").fails(400), help("db"), unmount("db"),
	}
}
