// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// notFollowed are the shared keys that have no rule, with the reason.
var notFollowed = map[string]string{
	vaultname.Keyring:                    "followed in package role",
	vaultname.RootKey:                    "followed in package role",
	"core/upgrade/":                      "followed in package role",
	"core/canary-keyring":                "followed in package role",
	"core/group-policy-application-mode": "read each time",
	"core/cluster/feature-flags":         "not of this edition",
	vaultname.IndexHeaderKey:             "made once, and handed to a secondary when it joins",
	"core/plugin-runtime-catalog/":       "read each time",
	"sys/policy-rgp/":                    "not of this edition",
	"sys/policy-egp/":                    "not of this edition",
	"sys/password_policy/":               "read each time",
	"sys/config/":                        "rows of it have rules of their own",
	"sys/ui":                             "rows of it have rules of their own; messages are read each time",
	"sys/mfa/":                           "read each time",
	"sys/managed-key-registry/":          "not of this edition",
	"sys/token/roles/":                   "read each time",
	keyclass.DeclaredKey:                 "followed in package role",
	vaultname.ReplicationFilters:         "followed in package role",
	"core/replication-shares":            "followed in package role",
}

// A key that all clusters have means something to a running core, or it is said why not.
func TestEverySharedKeyIsFollowed(t *testing.T) {
	t.Parallel()
	for _, r := range keyclass.Rows {
		has := ruleOf(r.Key) != nil || ruleOf(r.Key+"x") != nil && strings.HasSuffix(r.Key, "/")
		if r.Class == keyclass.Shared {
			require.NotEqual(t, has, notFollowed[r.Key] != "", "%s is followed, or not for a reason", r.Key)
		} else {
			require.False(t, has, "%s is not of all clusters", r.Key)
		}
	}
}
