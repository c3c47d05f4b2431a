// SPDX-License-Identifier: MPL-2.0

package vaultname

import "strings"

// The prefixes of the storage keys of mounts: the views of secrets engines, of auth methods and of audit devices, each
// with the UUID of its mount. The path of a request to an auth method has the same prefix as its keys.
const (
	EngineViews = "logical/"
	AuthViews   = "auth/"
	AuditViews  = "audit/"
)

// RequestPath is the path of a mount in requests. The path in a table lacks what the table itself says: "approle/" in a
// table of auth methods is "auth/approle/".
func RequestPath(table, path string) string {
	if table == Auth || table == LocalAuth {
		return AuthViews + path
	}
	return path
}

// ViewOf is the prefix of the storage keys of a mount. path is the path in requests.
func ViewOf(path, uuid string) string {
	if strings.HasPrefix(path, AuthViews) {
		return AuthViews + uuid + "/"
	}
	return EngineViews + uuid + "/"
}
