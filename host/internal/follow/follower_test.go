// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		keys []string
		want string
	}{
		"below a mount": {[]string{"logical/1/a", "auth/2/b"}, "changed logical/1/a, changed auth/2/b"},
		"policies":      {[]string{"sys/policy/p", "sys/policy-rgp/q"}, "policy p"},
		"quotas":        {[]string{"sys/quotas/config", "sys/quotas/rate-limit/q"}, "quota config, quota rate-limit/q"},
		"login mfa":     {[]string{"sys/login-mfa/method/1"}, "mfa sys/login-mfa/method/1"},
		"in their order": {[]string{"sys/policy/p", "logical/1/a", "sys/policy/q"}, "policy p, changed logical/1/a, " +
			"policy q"},
		"as a whole, once": {[]string{"sys/config/cors", "logical/1/a", "sys/config/cors"}, "changed logical/1/a, cors"},
		"configuration": {[]string{"sys/uiconfig", "sys/audited-headers-config/audited-headers", "sys/activation-flags"},
			"ui, headers, flags"},
		"nothing to take up": {[]string{"sys/password_policy/x", "sys/token/roles/r", "core/keyring", "sys/config/corsair",
			"sys/uiconfig_plaintext"}, ""},
		"audit salts": {[]string{"audit/1/salt"}, "salts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := newFake()
			newFollower(core).Applied(context.Background(), tt.keys)
			require.Equal(t, tt.want, core.done())
		})
	}
}

func TestUnmountRevokesFirst(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", `"tainted":true`)}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "taint 1 true, revoke 1", core.done(), "the engine has its configuration now")

	core.stored[vaultname.Mounts] = nil
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "taint 1 true, forget 1, unmount 1, clear 1", core.done())

	// A taint that was not seen, in a copy.
	core.running[vaultname.Auth] = []mounttable.Entry{mount(t, "2", "b/")}
	f.Applied(ctx, []string{vaultname.Auth})
	require.Equal(t, "taint 2 true, revoke 2, forget 2, unmount 2, clear 2", core.done())
	require.Empty(t, f.Lacks())
}

// A revocation that hangs must not hold up applying for ever.
func TestRevocationThatHangs(t *testing.T) {
	t.Parallel()
	core := newFake()
	core.hang["revoke"] = true
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	f.Applied(context.Background(), []string{vaultname.Mounts})
	require.Equal(t, "taint 1 true, revoke 1, forget 1, unmount 1, clear 1", core.done())
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "leases of a/")
}

func TestStepThatFailsIsLackedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.fail["cors"] = errors.New("broken")
	f.Applied(ctx, []string{"sys/config/cors"})
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "broken")
	delete(core.fail, "cors")
	f.Applied(ctx, []string{"sys/config/cors"})
	require.Empty(t, f.Lacks())

	core.fail["stored"] = errors.New("unreadable")
	f.Applied(ctx, []string{vaultname.Auth})
	require.Contains(t, f.Lacks()[0], "unreadable")
}

func TestPluginThatComesLater(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.noBack["1"] = true
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/")}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Len(t, f.Lacks(), 1)
	require.Contains(t, f.Lacks()[0], "mount a/ answers nothing")
	core.done()

	core.fail["rebuild"] = errors.New("plugin not found")
	f.Applied(ctx, []string{"core/plugin-catalog/secret/x"})
	require.Len(t, f.Lacks(), 1)
	delete(core.fail, "rebuild")
	f.Applied(ctx, []string{"core/plugin-catalog/secret/x"})
	require.Empty(t, f.Lacks())
}

func TestRefusedMountIsForgottenWithItsEntry(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.running[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", `"local":true`)}
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "2", "a/")}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Empty(t, core.done())
	require.Len(t, f.Lacks(), 1)
	core.stored[vaultname.Mounts] = nil
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Empty(t, f.Lacks())
}

func TestReloadOnThePrimaryRebuilds(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	old := mount(t, "1", "a/", `"running_sha256":"x"`)
	core.running[vaultname.Mounts] = []mounttable.Entry{old}
	core.stored[vaultname.Mounts] = []mounttable.Entry{old}
	release, err := core.Hold(ctx)
	require.NoError(t, err)
	f.Start(ctx)
	release()
	require.Equal(t, "ui", core.done())
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", `"running_sha256":"y"`)}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "rebuild 1", core.done())
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Empty(t, core.done())
}

func TestVersionedKVIsRebuiltWhenThePrimaryIsDone(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.stored[vaultname.Mounts] = []mounttable.Entry{mount(t, "1", "a/", `"options":{"version":"2"}`)}
	f.Applied(ctx, []string{vaultname.Mounts})
	require.Equal(t, "mount 1", core.done())
	f.Applied(ctx, []string{"logical/1/b1/other", "logical/1/b1/upgrading"})
	require.Equal(t, "changed logical/1/b1/other, changed logical/1/b1/upgrading, rebuild 1", core.done())
}

func TestAuditDeviceWaitsForItsSalt(t *testing.T) {
	t.Parallel()
	ctx, core := context.Background(), newFake()
	f := newFollower(core)
	core.noSalt["1"] = true
	core.stored[vaultname.Audit] = []mounttable.Entry{mount(t, "1", "file/")}
	f.Applied(ctx, []string{vaultname.Audit})
	require.Empty(t, core.done())
	delete(core.noSalt, "1")
	f.Applied(ctx, []string{"audit/1/salt"})
	require.Equal(t, "salts, enable 1", core.done())

	core.stored[vaultname.Audit] = []mounttable.Entry{mount(t, "2", "raw/", `"options":{"log_raw":"true"}`)}
	core.noSalt["2"] = true
	f.Applied(ctx, []string{vaultname.Audit})
	require.Equal(t, "disable file/, enable 2", core.done(), "a device that logs in plain text never has a salt")
}

func TestNothingIsTakenUpByASealedNode(t *testing.T) {
	t.Parallel()
	core := newFake()
	core.refuse = errors.New("sealed")
	f := newFollower(core)
	f.Applied(context.Background(), []string{"sys/policy/p"})
	require.Empty(t, core.done())
	require.Error(t, f.Recheck(context.Background()))
}
