// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// refusing is a primary with a DR and a performance secondary whose storage refuses some
// of what the primary's takes.
type refusing struct {
	primary, dr, west *cluster.Cluster
	// sentence is in last_error while something is missing.
	sentence string
}

// newRefusing joins the secondaries and checks that their operators are warned.
func newRefusing(t *testing.T, primary, secondaries cluster.Options, warning, sentence string) *refusing {
	t.Helper()
	ctx := t.Context()
	primary.Name, secondaries.Name = "primary", "dr"
	primary.Binary, secondaries.Binary = product(t), product(t)
	primary.CA = cluster.NewTestCA(t)
	secondaries.CA = primary.CA
	r := &refusing{primary: cluster.New(t, primary), dr: cluster.New(t, secondaries), sentence: sentence}
	secondaries.Name = "west"
	r.west = cluster.New(t, secondaries)
	require.NoError(t, r.primary.EnableDRPrimary(ctx))
	require.NoError(t, r.primary.EnablePerformancePrimary(ctx))
	write(t, r.primary.Node(0).APIClient(), "sys/mounts/kv1", map[string]any{"type": "kv"})

	token, err := r.primary.ActivationToken(ctx, "dr")
	require.NoError(t, err)
	secret := write(t, r.dr.Node(0).APIClient(), cluster.PathSecondaryEnable,
		map[string]any{"token": token, "ca_file": r.primary.GetCACertPEMFile()})
	require.NotNil(t, secret)
	require.Contains(t, strings.Join(secret.Warnings, " "), warning)
	r.dr.Adopt(r.primary)
	require.NoError(t, r.dr.Node(0).WaitRole(ctx, "secondary"))
	require.NoError(t, r.dr.Node(0).WaitStreaming(ctx))
	require.NoError(t, r.west.JoinPerformance(ctx, r.primary, "west"))
	return r
}

// waitMissing waits until both say how many keys are missing, or that they are
// consistent if there are none.
func (r *refusing) waitMissing(t *testing.T, keys uint64) {
	t.Helper()
	judge := func(state string, missing uint64, consistent bool, lastError string) error {
		require.NotContains(t, lastError, "SECRET", "anybody may read the status")
		if state != "stream-wals" || missing != keys || consistent != (keys == 0) ||
			strings.Contains(lastError, r.sentence) != (keys > 0) {
			return errors.New("not yet")
		}
		return nil
	}
	require.NoError(t, r.dr.Node(0).WaitDR(t.Context(), "says what is missing", func(s *cluster.DRStatus) error {
		return judge(s.State, s.MissingKeys, s.Consistent, s.LastError)
	}))
	require.NoError(t, r.west.Node(0).WaitPerformance(t.Context(), "says what is missing",
		func(s *cluster.PerformanceStatus) error {
			return judge(s.State, s.MissingKeys, s.Consistent, s.LastError)
		}))
}

// goesOn checks that whatever is not refused arrives, and that forwarding works.
func (r *refusing) goesOn(t *testing.T) {
	t.Helper()
	write(t, r.primary.Node(0).APIClient(), "kv1/beside", map[string]any{"v": "it"})
	write(t, r.west.Node(0).APIClient(), "kv1/forwarded", map[string]any{"v": "through the secondary"})
	for _, name := range []string{"beside", "forwarded"} {
		require.NoError(t, cluster.Wait(t.Context(), name+" is there", func(ctx context.Context) error {
			secret, err := r.west.Node(0).APIClient().Logical().ReadWithContext(ctx, "kv1/"+name)
			if err == nil && secret == nil {
				err = errors.New("it is not there")
			}
			return err
		}))
	}
}

// promote asks for the promotion of the DR secondary once.
func (r *refusing) promote(t *testing.T, force bool) (*api.Secret, error) {
	t.Helper()
	token, err := r.dr.OperationToken()
	require.NoError(t, err)
	return r.dr.Node(0).Anonymous().Logical().WriteWithContext(t.Context(), cluster.PathSecondaryPromote,
		map[string]any{"dr_operation_token": token, "force": force})
}

func (r *refusing) refusedPromotion(t *testing.T) {
	t.Helper()
	_, err := r.promote(t, false)
	var response *api.ResponseError
	require.ErrorAs(t, err, &response)
	require.Equal(t, 503, response.StatusCode)
	require.Contains(t, err.Error(), r.sentence)
	require.NotContains(t, err.Error(), "SECRET")
}

// A primary whose max_entry_size is raised has secondaries with the default.
func TestOneValueThatTheStorageRefuses(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	r := newRefusing(t, cluster.Options{MaxEntrySize: 4 << 20}, cluster.Options{},
		"raise max_entry_size of this cluster", "and its storage takes 1048576, see max_entry_size")
	client := r.primary.Node(0).APIClient()
	// Two strings: the listener takes a megabyte for each.
	large := map[string]any{"v": strings.Repeat("x", 700<<10), "w": strings.Repeat("x", 700<<10)}
	write(t, client, "kv1/SECRET", large)
	write(t, client, "kv1/SECRET-too", large)
	r.waitMissing(t, 2)
	r.goesOn(t)
	require.NoError(t, r.west.Restart(ctx, false))
	require.NoError(t, r.dr.Restart(ctx, true))
	r.waitMissing(t, 2)
	r.goesOn(t)
	r.refusedPromotion(t)

	_, err := client.Logical().DeleteWithContext(ctx, "kv1/SECRET-too")
	require.NoError(t, err)
	r.waitMissing(t, 1)
	_, err = client.Logical().DeleteWithContext(ctx, "kv1/SECRET")
	require.NoError(t, err)
	r.waitMissing(t, 0)
	write(t, client, "kv1/SECRET", large)
	r.waitMissing(t, 1)

	// With more room it goes on by itself, from a primary that is not written to.
	require.NoError(t, r.west.SetMaxEntrySize(ctx, 4<<20))
	require.NoError(t, r.west.Node(0).WaitPerformance(ctx, "is consistent", func(s *cluster.PerformanceStatus) error {
		if !s.Consistent || s.MissingKeys != 0 || s.LastError != "" {
			return errors.New("not yet")
		}
		return nil
	}))
	secret, err := r.west.Node(0).APIClient().Logical().ReadWithContext(ctx, "kv1/SECRET")
	require.NoError(t, err)
	require.Equal(t, large["v"], secret.Data["v"])

	secret, err = r.promote(t, true)
	require.NoError(t, err)
	require.Contains(t, strings.Join(secret.Warnings, " "), r.sentence)
	require.NoError(t, r.dr.Node(0).WaitRole(ctx, "primary"))
	secret, err = r.dr.Node(0).APIClient().Logical().ReadWithContext(ctx, "kv1/SECRET")
	require.NoError(t, err)
	require.Nil(t, secret)
	secret, err = r.dr.Node(0).APIClient().Logical().ReadWithContext(ctx, "kv1/beside")
	require.NoError(t, err)
	require.Equal(t, "it", secret.Data["v"])
}

// A primary on raft has secondaries on file storage, which takes shorter names.
func TestOneNameThatTheStorageRefuses(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	r := newRefusing(t, cluster.Options{}, cluster.Options{Storage: cluster.File},
		"names of up to 244 bytes between two slashes", "see the file system's limit of names")
	client := r.primary.Node(0).APIClient()
	write(t, client, "sys/mounts/kv2", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	long := "kv1/" + strings.Repeat("SECRET", 50)
	write(t, client, long, map[string]any{"v": "x"})
	r.waitMissing(t, 1)
	r.goesOn(t)
	r.refusedPromotion(t)
	_, err := client.Logical().DeleteWithContext(ctx, long)
	require.NoError(t, err)
	r.waitMissing(t, 0)

	name := strings.Repeat("SECRET", 20)
	require.NoError(t, cluster.Wait(ctx, "the engine is ready", func(ctx context.Context) error {
		_, err := client.Logical().WriteWithContext(ctx, "kv2/data/"+name, map[string]any{"data": map[string]any{"v": "x"}})
		return err
	}))
	require.NoError(t, r.dr.Node(0).WaitDR(ctx, "says what is missing", func(s *cluster.DRStatus) error {
		if s.MissingKeys == 0 || s.Consistent || s.State != "stream-wals" {
			return errors.New("not yet")
		}
		return nil
	}))
	r.goesOn(t)
	_, err = client.Logical().DeleteWithContext(ctx, "kv2/metadata/"+name)
	require.NoError(t, err)
	r.waitMissing(t, 0)
	require.NoError(t, r.dr.WaitEqual(ctx, r.primary))
	require.NoError(t, r.primary.Stop(ctx, true))
	require.NoError(t, r.dr.Promote(ctx))
}
