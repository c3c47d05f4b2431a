// SPDX-License-Identifier: MPL-2.0

package differential

func mounts() []Step {
	return []Step{
		mount("sysa", Body{"type": "kv", "description": "d", "config": Body{"default_lease_ttl": "1h", "max_lease_ttl": "2h",
			"audit_non_hmac_request_keys": []string{"a"}, "listing_visibility": "unauth",
			"passthrough_request_headers": []string{"X-A"}, "allowed_response_headers": []string{"X-B"}}}),
		read("sys/mounts/sysa").save("acc", "data.accessor"),
		read("sys/mounts/sysa/tune"),
		write("sys/mounts/sysa/tune", Body{"description": "changed", "default_lease_ttl": "30m"}),
		read("sys/mounts/sysa/tune").named("read tuned"),
		write("sys/mounts/sysa/tune", Body{"default_lease_ttl": "9h", "max_lease_ttl": "1h"}).named(
			"default above max").fails(400),
		write("sys/mounts/sysa/tune", Body{"max_lease_ttl": "x"}).named("no time").fails(400),
		read("sys/mounts/nothing/tune").fails(400),
		read("sys/mounts/nothing").fails(400),
		mount("sysa", Body{"type": "kv"}).named("mount over it").fails(400),
		mount("sysa/below", Body{"type": "kv"}).fails(400),
		mount("sysbad", Body{"type": "nonsense"}).fails(400),
		mount("sysbad", Body{}).named("no type").fails(400),
		mount("sys/inside", Body{"type": "kv"}).fails(400),
		mount("auth/inside", Body{"type": "kv"}).fails(400),
		mount("sysbad", Body{"type": "kv", "config": Body{"default_lease_ttl": "x"}}).named("bad ttl").fails(400),
		mount("syscub", Body{"type": "cubbyhole"}).fails(400),
		mount("syslocal", Body{"type": "kv", "local": true, "seal_wrap": true}),
		read("sys/mounts/syslocal"),
		write("syslocal/a", Body{"x": "y"}),
		read("syslocal/a"),
		unmount("syslocal").last(),
		write("sysa/x/y", Body{"v": 1}),
		write("sys/remount", Body{"from": "sysa", "to": "moved/here"}).save("migration", "data.migration_id"),
		read("sys/remount/status/${migration}").until("data.migration_info.status", "success"),
		read("moved/here/x/y"),
		read("sysa/x/y").named("the old path").fails(404),
		write("sys/remount", Body{"from": "nothing", "to": "b"}).named("remount nothing").fails(400),
		write("sys/remount", Body{"from": "moved/here", "to": "sys/x"}).named("remount into sys").fails(400),
		unmount("moved/here").last(),
		unmount("moved/here").named("unmount again").last(),
		unmount("sys").fails(400),
		unmount("cubbyhole").fails(400),
	}
}

func authMounts() []Step {
	return []Step{
		enableAuth("sysauth", "userpass"),
		read("sys/auth/sysauth"),
		read("sys/auth/sysauth/tune"),
		write("sys/auth/sysauth/tune", Body{"listing_visibility": "unauth", "token_type": "batch", "description": "new"}),
		read("sys/auth/sysauth/tune").named("read tuned auth"),
		write("sys/auth/sysauth/tune", Body{"token_type": "odd"}).named("odd token type").fails(400),
		enableAuth("sysauth", "userpass").named("enable over it").fails(400),
		enableAuth("sysbad", "nonsense").fails(400),
		read("sys/auth/nothing").fails(400),
		remove("sys/auth/token").fails(400),
		remove("sys/auth/sysauth").last(),
	}
}

func plugins() []Step {
	return []Step{
		list("sys/plugins/catalog/secret"),
		list("sys/plugins/catalog/auth"),
		list("sys/plugins/catalog/database"),
		read("sys/plugins/catalog/secret/kv"),
		read("sys/plugins/catalog/auth/userpass"),
		read("sys/plugins/catalog/secret/nothing").fails(404),
		read("sys/plugins/catalog/odd/kv"),
		read("sys/plugins/catalog"),
		write("sys/plugins/catalog/secret/bad", Body{"command": "nothing", "sha256": "00"}).fails(500),
		write("sys/plugins/catalog/secret/bad", Body{"command": "../x", "sha256": "00"}).named("outside").fails(500),
		write("sys/plugins/catalog/secret/bad", Body{}).named("no command").fails(400),
		remove("sys/plugins/catalog/secret/nothing"),
		write("sys/plugins/reload/backend", Body{"plugin": "kv"}),
		write("sys/plugins/reload/backend", Body{}).named("reload nothing").fails(400),
		write("sys/plugins/pins/secret/kv", Body{"version": "v9.9.9"}).fails(400),
		read("sys/plugins/pins"),
		list("sys/plugins/runtimes/catalog"),
		write("sys/plugins/runtimes/catalog/container/r", Body{"oci_runtime": "runc"}),
		read("sys/plugins/runtimes/catalog/container/r"),
		list("sys/plugins/runtimes/catalog").named("list the runtime"),
		write("sys/plugins/runtimes/catalog/odd/r", Body{"oci_runtime": "runc"}).fails(404),
		remove("sys/plugins/runtimes/catalog/container/r").last(),
	}
}
