// SPDX-License-Identifier: MPL-2.0

package vaultname

import "strings"

// What the storage keys of mounts begin with: the views of secrets engines, of auth
// methods and of audit devices, each by the UUID of its mount. The path of a request to an
// auth method begins as its keys do.
const (
	EngineViews = "logical/"
	AuthViews   = "auth/"
	AuditViews  = "audit/"
)

// RequestPath is the path of a mount as requests have it. The path in a table, replicated
// or local, lacks what the table says: "approle/" in the table of auth methods is
// "auth/approle/".
func RequestPath(table, path string) string {
	if table == Auth || table == LocalAuth {
		return AuthViews + path
	}
	return path
}

// ViewOf is what the storage keys of a mount begin with. Path is as requests have it.
func ViewOf(path, uuid string) string {
	if strings.HasPrefix(path, AuthViews) {
		return AuthViews + uuid + "/"
	}
	return EngineViews + uuid + "/"
}
