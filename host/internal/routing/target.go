// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// admitTarget checks the mount that a request to sys/ is about. The primary's local mounts
// and filtered mounts are out of reach.
func (r *Receiver) admitTarget(secondaryID string, req *logical.Request) error {
	if makesLocal(req) {
		return coded(http.StatusForbidden, "a secondary cannot make anything local on the primary")
	}
	path, ok := target(req)
	if !ok {
		return nil
	}
	m, found := r.Core.MountAt(path)
	if !found || !m.Local && (coreKind(m.Path) != "" || r.has(secondaryID, m.UUID)) {
		return nil
	}
	if isQuota(req) {
		// As Vault refuses a quota on a path that is no mount's.
		return coded(http.StatusBadRequest, "invalid mount path %q", strings.TrimSuffix(path, "/"))
	}
	return unknownMount(path)
}

// target is the mount that a request to sys/ is about.
func target(req *logical.Request) (string, bool) {
	if req.Path == "remount" {
		from, _ := field(req, "from", framework.TypeString).(string)
		return asMounted(from), true
	}
	if path, _ := field(req, "path", framework.TypeString).(string); isQuota(req) && path != "" {
		return asMounted(path), true
	}
	if path, ok := strings.CutPrefix(req.Path, "mounts/"); ok {
		return asMounted(strings.TrimSuffix(path, "/tune")), true
	}
	if path, ok := strings.CutPrefix(req.Path, "auth/"); ok {
		return "auth/" + asMounted(strings.TrimSuffix(path, "/tune")), true
	}
	return "", false
}

func isQuota(req *logical.Request) bool { return strings.HasPrefix(req.Path, "quotas/rate-limit/") }

// makesLocal says whether a request asks for something local. A request that cannot be read
// counts as one.
func makesLocal(req *logical.Request) bool {
	v := field(req, "local", framework.TypeBool)
	local, ok := v.(bool)
	return v != nil && (local || !ok)
}

// field returns a value of the request as Vault's framework reads it, which takes "1" and
// "t" for true. It returns nil if there is none, and the error if it cannot be read.
func field(req *logical.Request, name string, t framework.FieldType) any {
	data := framework.FieldData{Raw: req.Data, Schema: map[string]*framework.FieldSchema{name: {Type: t}}}
	v, ok, err := data.GetOkErr(name)
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	return v
}

// asMounted returns a path in the form in which Vault's handlers look up a mount: with a
// slash at the end, and without slashes and backslashes in front.
func asMounted(path string) string {
	path = strings.TrimSuffix(path, "/") + "/"
	for strings.HasPrefix(path, "/") {
		path = strings.TrimPrefix(path[1:], `\`)
	}
	return path
}
