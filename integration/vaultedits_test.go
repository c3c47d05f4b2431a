// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// What the lines do that are edited in the copy of Vault (scripts/vaultsource), on real
// servers.

// Identity deduplication is activated by a request to the primary or to a performance
// secondary. That secondary reloads its identities at once, the primary and a DR secondary
// when they are unsealed the next time, and none of them loses an entity.
func TestDeduplicationIsActivatedOnAllClusters(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"primary", "secondary"} {
		t.Run(asked, func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			primary, secondary := performancePair(t)
			require.NoError(t, primary.EnableDRPrimary(ctx))
			opts := primary.Options()
			dr := cluster.New(t, cluster.Options{Name: "dr", Binary: product(t), CA: opts.CA})
			require.NoError(t, dr.JoinDR(ctx, primary))
			put(t, primary, "identity/entity", map[string]any{"name": "Ann"})
			eventually(t, secondary, "identity/entity/name/Ann", "name", "Ann")

			to := primary
			if asked == "secondary" {
				to = secondary
			}
			offset, err := secondary.Node(0).LogSize()
			require.NoError(t, err)
			put(t, to, "sys/activation-flags/force-identity-deduplication/activate", nil)
			require.NoError(t, secondary.Node(0).WaitLog(ctx, offset, "identity deduplication activated, identity store reload "+
				"complete"))
			requireActivated(t, secondary)
			requireActivated(t, primary)
			require.NoError(t, primary.Restart(ctx, true))
			requireActivated(t, primary)
			require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
			put(t, secondary, "identity/entity", map[string]any{"name": "Ben"})
			eventually(t, primary, "identity/entity/name/Ben", "name", "Ben")
			require.NoError(t, dr.WaitEqual(ctx, primary))
			require.NoError(t, primary.Stop(ctx, true))
			require.NoError(t, dr.Promote(ctx))
			require.NoError(t, dr.Node(0).WaitRole(ctx, "primary"))
			requireActivated(t, dr)
		})
	}
}

func requireActivated(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	cluster.Eventually(t, limit, "the flag is activated, and the entity is there", func(ctx context.Context) error {
		flags, err := client(c).ReadWithContext(ctx, "sys/activation-flags")
		if err != nil {
			return err
		}
		if got := fmt.Sprint(flags.Data["activated"]); got != "[force-identity-deduplication]" {
			return fmt.Errorf("activated are %s", got)
		}
		entity, err := client(c).ReadWithContext(ctx, "identity/entity/name/Ann")
		if err == nil && entity == nil {
			err = fmt.Errorf("there is no entity")
		}
		return err
	})
}

// A key of transit is restored under a new name and under its own, on the primary and through
// a performance secondary, and decrypts on both what it had encrypted.
func TestTransitKeyIsRestoredUnderANewName(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	put(t, primary, "sys/mounts/transit", map[string]any{"type": "transit"})
	eventually(t, secondary, "sys/mounts/transit", "type", "transit")
	put(t, primary, "transit/keys/own", map[string]any{"exportable": true, "allow_plaintext_backup": true})
	put(t, primary, "transit/keys/own/config", map[string]any{"deletion_allowed": true})
	text := write(t, primary.Node(0).APIClient(), "transit/encrypt/own", map[string]any{"plaintext": "YQ=="}).
		Data["ciphertext"]
	read, err := client(primary).ReadWithContext(t.Context(), "transit/backup/own")
	require.NoError(t, err)
	backup := map[string]any{"backup": read.Data["backup"]}
	_, err = client(primary).DeleteWithContext(t.Context(), "transit/keys/own")
	require.NoError(t, err)

	put(t, primary, "transit/restore/other", backup)
	put(t, secondary, "transit/restore/third", backup)
	put(t, secondary, "transit/restore", backup)
	for _, c := range []*cluster.Cluster{primary, secondary} {
		for _, key := range []string{"other", "third", "own"} {
			cluster.Eventually(t, limit, key+" decrypts", func(ctx context.Context) error {
				plain, err := client(c).WriteWithContext(ctx, "transit/decrypt/"+key, map[string]any{"ciphertext": text})
				if err == nil && plain.Data["plaintext"] != "YQ==" {
					err = fmt.Errorf("the text is %v", plain.Data["plaintext"])
				}
				return err
			})
		}
	}
	_, err = client(secondary).WriteWithContext(t.Context(), "transit/restore/other", backup)
	require.ErrorContains(t, err, "already exists")
}
