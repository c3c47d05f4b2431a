// SPDX-License-Identifier: MPL-2.0

package differential

func audit() []Step {
	return []Step{
		write("sys/audit/f", Body{"type": "file", "options": Body{"file_path": "${target_dir}/audit.log"}}),
		read("sys/audit").named("list the device"),
		write("sys/audit-hash/f", Body{"input": "text"}),
		write("sys/audit-hash/nothing", Body{"input": "text"}).fails(400),
		write("sys/audit/f", Body{"type": "file", "options": Body{"file_path": "stdout"}}).named("the same device").fails(
			400),
		write("sys/audit/bad", Body{"type": "odd"}).fails(400),
		write("sys/audit/bad", Body{"type": "file", "options": Body{}}).named("no file").fails(400),
		remove("sys/audit/f").last(),
		read("sys/audit").named("no device").last(),
		write("sys/config/auditing/request-headers/X-Test", Body{"hmac": true}),
		read("sys/config/auditing/request-headers/X-Test"),
		read("sys/config/auditing/request-headers"),
		remove("sys/config/auditing/request-headers/X-Test"),
		read("sys/config/auditing/request-headers/X-Test").named("read deleted header").fails(400),
	}
}

func settings() []Step {
	return []Step{
		read("sys/config/cors"),
		write("sys/config/cors", Body{"allowed_origins": "https://a.test", "allowed_headers": "X-C"}),
		read("sys/config/cors").named("read CORS"),
		read("sys/health").header("Origin", "https://a.test").named("an allowed origin").random("server_time_utc", "version",
			"cluster_id"),
		read("sys/mounts").header("Origin", "https://b.test").named("another origin").fails(403),
		step("OPTIONS", "sys/mounts", nil).header("Origin", "https://a.test").header("Access-Control-Request-Method", "GET"),
		write("sys/config/cors", Body{"allowed_origins": ""}).named("no origin").fails(500),
		remove("sys/config/cors"),
		read("sys/config/cors").named("CORS off"),
		write("sys/config/ui/headers/X-Custom", Body{"values": []string{"a", "b"}}),
		read("sys/config/ui/headers/X-Custom"),
		list("sys/config/ui/headers"),
		write("sys/config/ui/headers/X-Vault-Token", Body{"values": "a"}).fails(400),
		remove("sys/config/ui/headers/X-Custom").last(),
		read("sys/config/ui/headers/X-Custom").named("read deleted ui header").fails(404).last(),
		read("sys/config/state/sanitized").random("data"),
		read("sys/activation-flags"),
		write("sys/activation-flags/activation-test/activate", nil),
		read("sys/activation-flags").named("read the flags"),
		list("sys/config/ui/custom-messages").fails(404),
		write("sys/config/ui/custom-messages", Body{"title": "t", "message": "bWVzc2FnZQ==",
			"start_time": "2026-01-01T00:00:00Z"}).fails(404),
		read("sys/config/group-policy-application").fails(404),
		write("sys/config/group-policy-application", Body{"group_policy_application_mode": "any"}).fails(404),
	}
}

func tools() []Step {
	return []Step{
		write("sys/tools/random/8", nil).random("data.random_bytes"),
		write("sys/tools/random/8", Body{"format": "hex"}).named("random hex").random("data.random_bytes"),
		write("sys/tools/random/8", Body{"format": "odd"}).named("odd format").fails(400),
		write("sys/tools/hash", Body{"input": base64Text, "algorithm": "sha3-256"}),
		write("sys/tools/hash", Body{"input": "!"}).named("no base64").fails(400),
		write("sys/tools/hash/odd", Body{"input": base64Text}).fails(400),
		list("sys/leases/lookup/nothing").fails(404),
		read("sys/leases").named("leases without a type").fails(404),
		read("sys/leases/count?type=irrevocable"),
		write("sys/leases/lookup", Body{"lease_id": "x"}).fails(400),
		write("sys/leases/renew", Body{"lease_id": "x"}).fails(400),
		write("sys/leases/revoke", Body{"lease_id": "x"}),
		write("sys/leases/revoke", Body{}).named("revoke no lease").fails(400),
		write("sys/leases/revoke-force/nothing", nil),
		write("sys/leases/tidy", nil),
		read("sys/leases/irrevocable").fails(404),
	}
}
