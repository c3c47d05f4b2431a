// SPDX-License-Identifier: MPL-2.0

package differential

func policies() []Step {
	return []Step{
		policy("sysp", `path "a/*" { capabilities = ["read"] }`),
		read("sys/policies/acl/sysp"),
		read("sys/policy/sysp"),
		list("sys/policies/acl").named("list with it"),
		policy("sysp", `path "b/*" { capabilities = ["odd"] }`).named("odd capability").fails(400),
		policy("sysp", `rubbish {`).named("no HCL").fails(400),
		policy("root", `path "*" {}`).fails(400),
		policy("sysp", "").named("empty").fails(400),
		policy("SysP", `path "c" { policy = "read" }`).named("capitals"),
		read("sys/policies/acl/SYSP"),
		remove("sys/policies/acl/sysp"),
		read("sys/policies/acl/sysp").named("read deleted").fails(404),
		remove("sys/policies/acl/default").fails(400),
		remove("sys/policies/acl/root").fails(400),
		read("sys/policies/rgp/x").fails(404),
		read("sys/policies/egp/x").fails(404),
		write("sys/policies/password/strict", Body{"policy": "length = 12\nrule \"charset\" { charset = \"abc\" }"}),
		read("sys/policies/password/strict"),
		list("sys/policies/password"),
		read("sys/policies/password/strict/generate").random("data.password"),
		write("sys/policies/password/bad", Body{"policy": "length = 1"}).fails(400),
		write("sys/policies/password/bad", Body{"policy": "rubbish {"}).named("no password HCL").fails(400),
		remove("sys/policies/password/strict").last(),
		read("sys/policies/password/strict").named("read deleted password policy").fails(404).last(),
	}
}

func quotas() []Step {
	return []Step{
		write("sys/quotas/rate-limit/q", Body{"path": "sys/tools/*", "rate": 1000, "interval": "2s", "block_interval": "1m"}),
		read("sys/quotas/rate-limit/q"),
		list("sys/quotas/rate-limit"),
		write("sys/quotas/rate-limit/q2", Body{"rate": -1}).fails(400),
		write("sys/quotas/rate-limit/q2", Body{"rate": 5, "path": "nothing/"}).named("no such path").fails(400),
		write("sys/quotas/lease-count/q", Body{"max_leases": 3}).fails(404),
		read("sys/quotas/config"),
		write("sys/quotas/config", Body{"enable_rate_limit_response_headers": true,
			"rate_limit_exempt_paths": []string{"sys/internal/ui/mounts"}}),
		read("sys/quotas/config").named("read the quotas"),
		write("sys/tools/hash/sha2-256", Body{"input": base64Text}).named("with quota headers"),
		write("sys/quotas/rate-limit/q", Body{"path": "sys/tools/*", "rate": 1, "interval": "1h"}).named("a low limit"),
		write("sys/tools/hash/sha2-256", Body{"input": base64Text}).named("the last one"),
		write("sys/tools/hash/sha2-256", Body{"input": base64Text}).named("one too many").fails(429),
		remove("sys/quotas/rate-limit/q"),
		write("sys/tools/hash/sha2-256", Body{"input": base64Text}).named("without limit"),
		write("sys/quotas/config", Body{"enable_rate_limit_response_headers": false,
			"rate_limit_exempt_paths": []string{}}).named("quotas as before"),
		read("sys/quotas/rate-limit/q").named("read deleted quota").fails(404),
	}
}
