// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"net/http"
	"strings"
)

// Engines are the kinds and types of all engines, auth methods and audit devices
// that the list enables, as "logical/kv" or "auth/userpass".
func Engines() map[string]bool {
	engines := map[string]bool{"logical/identity": true} // is always there
	for name, enabled := range Plugins() {
		if enabled && !strings.HasPrefix(name, "database/") {
			engines[name] = true
		}
	}
	return engines
}

// Plugins are the kinds and names of all plugins that a step of the list names, of
// databases too, and whether some step with it succeeds.
func Plugins() map[string]bool {
	plugins := map[string]bool{}
	for _, section := range Sections() {
		for _, s := range section.Steps {
			body, ok := s.Body.(Body)
			if !ok || s.Method != http.MethodPost {
				continue
			}
			for prefix, kind := range map[string]string{"sys/mounts/": "logical/", "sys/auth/": "auth/",
				"sys/audit/": "audit/"} {
				if name, ok := body["type"].(string); ok && strings.HasPrefix(s.Path, prefix) {
					plugins[kind+name] = plugins[kind+name] || s.Status < http.StatusBadRequest
				}
			}
			if name, ok := body["plugin_name"].(string); ok {
				plugins["database/"+name] = plugins["database/"+name] || s.Status < http.StatusBadRequest
			}
		}
	}
	return plugins
}

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
		{"databases of absent servers", databases()},
		{"engines of absent services", storing()},
		{"auth methods of absent services", storingAuth()},
		{"removed engines", removed()},
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
		{"local mounts", localMounts()},
		{"plugin catalog", plugins()},
		{"policies", policies()},
		{"quotas", quotas()},
		{"audit devices", audit()},
		{"settings", settings()},
		{"tools and leases", tools()},
		{"external plugins", external()},
	}
}
