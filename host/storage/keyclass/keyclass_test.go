// SPDX-License-Identifier: MPL-2.0

package keyclass_test

import (
	"testing"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Keys as the core of Vault writes them, each with the class it must
// have. A key of this list that the table loses is a leak or a lost secret.
var known = map[string]keyclass.Class{
	"core/keyring":                                 keyclass.Shared,
	"core/master":                                  keyclass.Shared,
	"core/shamir-kek":                              keyclass.Own,
	"core/upgrade/3":                               keyclass.Shared,
	"core/canary-keyring":                          keyclass.Shared,
	"core/mounts":                                  keyclass.Shared,
	"core/auth":                                    keyclass.Shared,
	"core/audit":                                   keyclass.Shared,
	"core/group-policy-application-mode":           keyclass.Shared,
	"core/replication/local-prefixes":              keyclass.Shared,
	"core/replication/local-prefixes2":             keyclass.Own,
	"core/cluster/feature-flags":                   keyclass.Shared,
	"core/index-header-hmac-key":                   keyclass.Shared,
	"core/plugin-catalog/auth/oidc":                keyclass.Shared,
	"core/plugin-runtime-catalog/container/gvisor": keyclass.Shared,
	"sys/policy/default":                           keyclass.Shared,
	"sys/policy-rgp/a":                             keyclass.Shared,
	"sys/policy-egp/a":                             keyclass.Shared,
	"sys/password_policy/strong":                   keyclass.Shared,
	"sys/quotas/config":                            keyclass.Shared,
	"sys/quotas/rate-limit/a":                      keyclass.Shared,
	"sys/config/cors":                              keyclass.Shared,
	"sys/uiconfig":                                 keyclass.Shared,
	"sys/uiconfig_plaintext":                       keyclass.Own,
	"sys/ui/custom-messages/namespaces/root":       keyclass.Shared,
	"sys/audited-headers-config/audited-headers":   keyclass.Shared,
	"sys/activation-flags":                         keyclass.Shared,
	"sys/mfa/totpkeys/m/e":                         keyclass.Shared,
	"sys/login-mfa/method/1":                       keyclass.Shared,
	"sys/login-mfa/enforcement/1":                  keyclass.Shared,
	"sys/managed-key-registry/a":                   keyclass.Shared,
	"sys/token/roles/admin":                        keyclass.Shared,
	"logical/11111111-2222-3333-4444-5555/foo":     keyclass.Shared,
	"auth/11111111-2222-3333-4444-5555/user/a":     keyclass.Shared,
	"audit/11111111-2222-3333-4444-5555/salt":      keyclass.Shared,
	"core/local-mounts":                            keyclass.Local,
	"core/local-auth":                              keyclass.Local,
	"core/local-audit":                             keyclass.Local,
	"core/wrapping/jwtkey":                         keyclass.Local,
	"core/login/lockedUsers/root/accessor/alice":   keyclass.Local,
	"core/sscGenCounter/":                          keyclass.Local,
	"core/sscGenCounter/0":                         keyclass.Local,
	"sys/token/id/h1":                              keyclass.Local,
	"sys/token/accessor/a":                         keyclass.Local,
	"sys/token/parent/p/c":                         keyclass.Local,
	"sys/token/salt":                               keyclass.Local,
	"sys/expire/id/auth/token/create/h":            keyclass.Local,
	"sys/expire/token/h":                           keyclass.Local,
	"sys/rotation-local/a":                         keyclass.Local,
	"sys/counters/activity/log/entity/1/0":         keyclass.Local,
	"sys/counters/activity/acme-regeneration":      keyclass.Local,
	"utilization/snapshots/1":                      keyclass.Local,
	"utilizationsnapshots":                         keyclass.Local,
	"core/lock":                                    keyclass.Own,
	"core/migration":                               keyclass.Own,
	"core/leader/2f1d":                             keyclass.Own,
	"core/raft/tls":                                keyclass.Own,
	"core/raft/autopilot/configuration":            keyclass.Own,
	"core/raft/autopilot/state":                    keyclass.Own,
	"core/raft/undo_logs_are_safe":                 keyclass.Own,
	"core/cluster/local/info":                      keyclass.Own,
	"core/cluster/local/name":                      keyclass.Own,
	"core/versions/1.21.1":                         keyclass.Own,
	"core/poison-pill":                             keyclass.Own,
	"core/poison-pill-dr":                          keyclass.Own,
	"core/dr-operation-token":                      keyclass.Own,
	"core/autoloaded-license":                      keyclass.Own,
	"core/seal-config":                             keyclass.Own,
	"core/recovery-seal-config":                    keyclass.Own,
	"core/recovery-config":                         keyclass.Own,
	"core/recovery-key":                            keyclass.Own,
	"core/hsm/barrier-unseal-keys":                 keyclass.Own,
	"core/hsm/iv":                                  keyclass.Own,
	"core/unseal-keys-backup":                      keyclass.Own,
	"core/recovery-keys-backup":                    keyclass.Own,
	"core/seal-gen-info":                           keyclass.Own,
	"core/seal-initialization-flag":                keyclass.Own,
	"barrier/init":                                 keyclass.Own,
	"core/replication-shares":                      keyclass.Shared,
	"core/replication-filters/6575":                keyclass.Shared,
	"core/replication/dr/role":                     keyclass.Own,
	"core/replication/role":                        keyclass.Own,
	"core/replication/performance/state/set":       keyclass.Local,
	"core/replication/performance-of/state/set":    keyclass.Own,
	"replication/dr/cursor":                        keyclass.Own,
	"replication/performance/cursor":               keyclass.Local,
	"replication/performance/cursors":              keyclass.Own,
	"replication/performance/missing":              keyclass.Local,
	"replication/dr/missing":                       keyclass.Own,
	"replication/former/performance/head":          keyclass.Local,
	"replication/former/dr/head":                   keyclass.Own,
	"replication/performance/slots/1":              keyclass.Own,
	"replication/journal/head":                     keyclass.Own,
	"wal/logs/00000001/0000000000000001":           keyclass.Own,
	"index/pages/1":                                keyclass.Own,
	"index-dr/pages/1":                             keyclass.Own,
	"core/feature-flags":                           keyclass.Unknown, // no key of Vault
	"core/invented-in-a-later-version":             keyclass.Unknown,
	"sys/invented/x":                               keyclass.Unknown,
	"core/mounts-of-something-else":                keyclass.Unknown,
	"core/keyring2089123456":                       keyclass.Own, // left of file storage
	"core/mounts7":                                 keyclass.Own,
	"elsewhere":                                    keyclass.Unknown,
}

func TestClass(t *testing.T) {
	t.Parallel()
	var c keyclass.Classifier
	for key, want := range known {
		if got := c.Class(key); got != want {
			t.Errorf("class of %q is %s, want %s", key, got, want)
		}
	}
}

// Users who may not see names see the area of a key instead. It has no names of users.
func TestArea(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"logical/uuid/secret":  "logical/",
		"sys/policy/name":      "sys/policy/",
		"core/mounts":          "core/mounts",
		"sys/token/roles/name": "sys/token/roles/",
		"invented/name":        "a place that the table of classes does not know",
	} {
		if got := keyclass.Area(key); got != want {
			t.Errorf("area of %q is %q, want %q", key, got, want)
		}
	}
}

// Every row of the table has an example above: a new row needs a thought about real keys.
func TestEveryRowHasAnExample(t *testing.T) {
	t.Parallel()
	for _, r := range keyclass.Rows {
		found := false
		for key := range known {
			if key == r.Key || (r.Prefix && len(key) > len(r.Key) && key[:len(r.Key)] == r.Key) {
				found = true
				break
			}
		}
		if !found {
			t.Errorf("row %q has no example", r.Key)
		}
		if r.Why == "" {
			t.Errorf("row %q does not say why", r.Key)
		}
	}
}

func TestReplicated(t *testing.T) {
	t.Parallel()
	var c keyclass.Classifier
	for _, tc := range []struct {
		key    string
		dr, pr bool
	}{
		{"core/mounts", true, true},
		{"sys/token/id/x", true, false},
		{"core/invented", true, false},
		{"core/hsm/iv", false, false},
	} {
		if got := c.Replicated(replication.DR, tc.key); got != tc.dr {
			t.Errorf("%q in DR: %v", tc.key, got)
		}
		if got := c.Replicated(replication.Performance, tc.key); got != tc.pr {
			t.Errorf("%q in performance: %v", tc.key, got)
		}
	}
}

func TestOwnDirectory(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]bool{
		"wal/logs/": true, "wal/logs/00000001/": true, "replication/": false, "replication/dr/": true,
		"replication/journal/":     true,
		"replication/performance/": false, "replication/performance/slots/": true, "core/replication/": false,
		"core/raft/": true,
		"core/hsm/":  true, "core/": false, "core/cluster/": false, "core/cluster/local/": true, "wal/": false, "sys/": false,
		"logical/": false,
	} {
		if got := keyclass.OwnDirectory(dir); got != want {
			t.Errorf("own directory %q: %v", dir, got)
		}
	}
}

func TestAbsorbed(t *testing.T) {
	t.Parallel()
	if !keyclass.IsAbsorbed("core/upgrade/4") || keyclass.IsAbsorbed("core/keyring") {
		t.Error("only upgrade rows are absorbed")
	}
}
