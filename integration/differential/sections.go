// SPDX-License-Identifier: MPL-2.0

package differential

// Sections are all requests, in the order in which they are sent.
func Sections() []Section {
	return []Section{
		{"key-value version 1", keyValue1()},
		{"key-value version 2", keyValue2()},
		{"cubbyhole", cubbyhole()},
		{"identity", identity()},
		{"oidc", oidc()},
		{"transit", transit()},
		{"pki", pki()},
		{"ssh", ssh()},
		{"totp", totp()},
		{"database", database()},
		{"engines of absent services", storing()},
		{"auth methods of absent services", storingAuth()},
		{"userpass", userpass()},
		{"approle", appRole()},
		{"certificates", certificate()},
		{"jwt", jwtLogin()},
		{"tokens", tokens()},
		{"wrapping", wrapping()},
		{"system status", systemStatus()},
		{"operations", systemOperations()},
		{"mounts", mounts()},
		{"auth mounts", authMounts()},
		{"plugin catalog", plugins()},
		{"policies", policies()},
		{"quotas", quotas()},
		{"audit devices", audit()},
		{"settings", settings()},
		{"tools and leases", tools()},
		{"external plugins", external()},
	}
}
