// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Who a client is, and what it may do, follows the primary while its token lives.
func TestPerformanceIdentityFollowsLive(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	p := primary.Node(0).APIClient()
	mounted(t, primary, secondary, "kv")
	put(t, primary, "kv/a", map[string]any{"v": "one"})
	eventually(t, secondary, "kv/a", "v", "one")
	require.NoError(t, p.Sys().PutPolicyWithContext(t.Context(), "reader", `path "kv/*" { capabilities = ["read"] }`))
	for _, method := range []string{"one", "two"} {
		put(t, primary, "sys/auth/"+method, map[string]any{"type": "userpass"})
		put(t, primary, "auth/"+method+"/users/ann", map[string]any{"password": "secret"})
	}
	login := func(method string) *api.SecretAuth {
		t.Helper()
		var secret *api.Secret
		cluster.Eventually(t, limit, "a login with the new method "+method, func(ctx context.Context) (err error) {
			secret, err = client(secondary).WriteWithContext(ctx, "auth/"+method+"/login/ann",
				map[string]any{"password": "secret"})
			return err
		})
		require.NotEmpty(t, secret.Auth.EntityID)
		return secret.Auth
	}
	one, two := login("one"), login("two")
	require.NotEqual(t, one.EntityID, two.EntityID)
	may := func(token string, want bool) {
		t.Helper()
		c := secondary.Node(0).Anonymous()
		c.SetToken(token)
		cluster.Eventually(t, limit, fmt.Sprintf("the token may read: %v", want), func(ctx context.Context) error {
			_, err := c.Logical().ReadWithContext(ctx, "kv/a")
			var answer *api.ResponseError
			denied := errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden
			switch {
			case err != nil && !denied:
				return err
			case denied == want:
				return fmt.Errorf("the answer was %w", err)
			}
			return nil
		})
	}
	may(one.ClientToken, false)

	group := fmt.Sprint(put(t, primary, "identity/group", map[string]any{"name": "readers", "policies": "reader",
		"member_entity_ids": one.EntityID}).Data["id"])
	may(one.ClientToken, true)
	may(two.ClientToken, false)
	put(t, primary, "identity/entity/merge", map[string]any{"from_entity_ids": two.EntityID, "to_entity_id": one.EntityID})
	may(two.ClientToken, true)
	require.Equal(t, one.EntityID, login("two").EntityID)
	put(t, primary, "identity/group/id/"+group, map[string]any{"member_entity_ids": []string{}})
	may(one.ClientToken, false)
	put(t, primary, "identity/entity/id/"+one.EntityID, map[string]any{"policies": "reader"})
	may(two.ClientToken, true)
	put(t, primary, "identity/entity/id/"+one.EntityID, map[string]any{"disabled": true})
	may(one.ClientToken, false)
	put(t, primary, "identity/entity/id/"+one.EntityID, map[string]any{"disabled": false})
	may(one.ClientToken, true)
	_, err := client(primary).DeleteWithContext(t.Context(), "identity/entity/id/"+one.EntityID)
	require.NoError(t, err)
	may(one.ClientToken, false)
	require.NotEqual(t, one.EntityID, login("one").EntityID, "the deleted entity is not used again")

	require.NoError(t, p.Sys().DisableAuthWithContext(t.Context(), "two"))
	cluster.Eventually(t, limit, "no login with the method that is gone", func(ctx context.Context) error {
		_, err := client(secondary).WriteWithContext(ctx, "auth/two/login/ann", map[string]any{"password": "secret"})
		var answer *api.ResponseError
		if errors.As(err, &answer) && answer.StatusCode < 500 && answer.StatusCode != http.StatusConflict {
			return nil
		}
		return fmt.Errorf("the answer was %w", err)
	})
}

// The settings of the server itself follow too: audit devices, headers of the UI,
// and the keys, which a rekey changes.
func TestPerformanceSettingsFollowLive(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := clusters(t, cluster.Options{ExtraHCL: "ui = true"})
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	p, s := primary.Node(0).APIClient(), secondary.Node(0).APIClient()

	put(t, primary, "sys/config/ui/headers/X-Live", map[string]any{"values": "yes"})
	eventually(t, secondary, "sys/config/ui/headers/X-Live", "value", "yes")
	// Who reads the setting is not who uses it.
	cluster.Eventually(t, limit, "the secondary's UI has the header", func(ctx context.Context) error {
		//nolint:staticcheck // no other way to a path that is not of the API
		resp, err := s.RawRequestWithContext(ctx, s.NewRequest(http.MethodGet, "/ui/"))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("X-Live"); got != "yes" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})

	// One name on both sides: each server has its own.
	log := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, p.Sys().EnableAuditWithOptionsWithContext(ctx, "live",
		&api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": log}}))
	cluster.Eventually(t, limit, "the secondary writes to the primary's device", func(ctx context.Context) error {
		if _, err := s.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/only-the-secondary"); err == nil {
			return errors.New("the request should have failed")
		}
		entries, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(entries), "sys/internal/ui/mounts/only-the-secondary") {
			err = errors.New("nothing of it is in the log")
		}
		return err
	})
	require.NoError(t, p.Sys().DisableAuditWithContext(ctx, "live"))
	cluster.Eventually(t, limit, "the device is gone from the secondary", func(ctx context.Context) error {
		devices, err := s.Sys().ListAuditWithContext(ctx)
		if err == nil && len(devices) > 0 {
			err = fmt.Errorf("it has %v", devices)
		}
		return err
	})

	mounted(t, primary, secondary, "kv")
	require.NoError(t, primary.Rekey(ctx, 3, 2))
	require.NoError(t, p.Sys().RotateWithContext(ctx))
	put(t, primary, "kv/a", map[string]any{"v": "under the new key"})
	eventually(t, secondary, "kv/a", "v", "under the new key")
	put(t, secondary, "kv/b", map[string]any{"v": "forwarded"})
	eventually(t, primary, "kv/b", "v", "forwarded")
	status, err := s.Sys().KeyStatusWithContext(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, status.Term)
	// The secondary's seal is its own: the shares that it was enabled with open it.
	require.NoError(t, secondary.Restart(ctx, false))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	eventually(t, secondary, "kv/a", "v", "under the new key")
	put(t, primary, "kv/a", map[string]any{"v": "after the restart"})
	eventually(t, secondary, "kv/a", "v", "after the restart")
}
