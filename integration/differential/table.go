// SPDX-License-Identifier: MPL-2.0

package differential

// The targets' names, as the table of differences has them.
const (
	Stock     = "stock Vault"
	Single    = "single server"
	Primary   = "primary"
	Secondary = "performance secondary"
)

// Differences are what is answered otherwise on purpose.
func Differences() []Difference {
	build, primary := []string{Single, Primary}, []string{Primary}
	const (
		endpoints = "stock Vault has stubs of Enterprise's endpoints, this build the endpoints"
		catalog   = "this build has a catalog of replication plugins"
		role      = "the role is shown"
	)
	return []Difference{
		{"operations", "OpenAPI", "body.paths./sys/replication/*", build, endpoints},
		{"operations", "OpenAPI", "body.components.schemas.Replication*", build, endpoints},
		{"operations", "OpenAPI", "body.paths./sys/plugins/*/replication*", build, catalog},
		{"operations", "GET sys[?]help=1", "body.help", build, endpoints},
		{"operations", "GET sys[?]help=1", "body.openapi.paths./replication/*", build, endpoints},
		{"operations", "GET sys[?]help=1", "body.openapi.components.schemas.Replication*", build, endpoints},
		{"operations", "GET sys[?]help=1", "body.openapi.paths./plugins/*/replication*", build, catalog},
		{"operations", "GET sys/loggers", "body.data.core.replication", build, "replication has loggers of its own"},
		{"system status", "*health*", "body.replication_dr_mode", primary, role},
		{"settings", "an allowed origin", "body.replication_dr_mode", primary, role},
	}
}
