// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// every is a key of each kind that the follower itself must have taken up.
var every = []string{
	"sys/policy/p", "sys/quotas/rate-limit/q", "sys/quotas/config", "sys/login-mfa/method/1",
	"sys/login-mfa/enforcement/e",
	"sys/config/cors", "sys/uiconfig", "sys/audited-headers-config/entries", "sys/activation-flags",
	vaultname.Mounts, vaultname.Auth, vaultname.Audit, "audit/1/salt", "core/plugin-catalog/secret/p", "logical/1/a",
	"auth/2/b",
}

// Nothing is dropped, whatever keeps it from being taken up: the core that cannot be
// held, a duty that is over before it begins, or one that ends in between.
func TestWhatIsNotTakenUpIsLeft(t *testing.T) {
	t.Parallel()
	over, end := context.WithCancel(context.Background())
	end()

	core := newFake()
	core.refuse = errors.New("the core is sealing")
	require.Equal(t, every, newFollower(core).Applied(context.Background(), every))
	require.Empty(t, core.done())

	core = newFake()
	require.Equal(t, every, newFollower(core).Applied(over, every))

	core = newFake()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	core.ends["mfa"] = cancel
	left := newFollower(core).Applied(ctx, every)
	require.Equal(t, every[3:], left, "the one in which it ended may be half done")
}

// What the core could not read is left, key by key: the others are taken up.
func TestWhatFailedIsLeft(t *testing.T) {
	t.Parallel()
	for fail, want := range map[string][]string{
		"quota":   {"sys/quotas/rate-limit/q", "sys/quotas/config"},
		"mfa":     {"sys/login-mfa/method/1", "sys/login-mfa/enforcement/e"},
		"cors":    {"sys/config/cors"},
		"ui":      {"sys/uiconfig"},
		"headers": {"sys/audited-headers-config/entries"},
		"flags":   {"sys/activation-flags"},
		"stored":  {vaultname.Mounts, vaultname.Auth, vaultname.Audit, "audit/1/salt"},
	} {
		t.Run(fail, func(t *testing.T) {
			t.Parallel()
			core := newFake()
			f := newFollower(core)
			core.with(func() { core.fail[fail] = errors.New("the storage is busy") })
			require.Equal(t, want, f.Applied(context.Background(), every))
			require.NotEmpty(t, f.Lacks(), "it is said")
			core.with(func() { delete(core.fail, fail) })
			require.Empty(t, f.Applied(context.Background(), want))
			require.Empty(t, f.Lacks())
		})
	}
}
