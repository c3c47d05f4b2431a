// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What a secondary would lack as the primary is named, all of it at once, and each thing
// to do once.
func TestRefusalNamesEveryLoss(t *testing.T) {
	t.Parallel()
	require.NoError(t, refuseLosses(nil))
	require.Empty(t, warnOfLosses(nil))
	all := []Loss{{"a is hidden", "delete the filter"}, {"b is hidden", "delete the filter"},
		{"c does not start", "install it"}, {"a is hidden", "delete the filter"}}
	err := refuseLosses(all)
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	require.ErrorContains(t, err, "a is hidden; b is hidden; c does not start. Mend that first (delete the filter; "+
		"install it)")
	require.Len(t, warnOfLosses(all), 1)
}

// A performance secondary that cannot load a plugin is not promoted without force, nor
// one whose filter hides a mount.
func TestPromotionOfASecondaryThatLacksSomething(t *testing.T) {
	s := newStanding(t)
	s.lacks = []string{"plugin outside is not installed here"}
	_, err := s.secondary.PromoteSecondary(t.Context(), perf, endpoints.PromoteRequest{})
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	require.ErrorContains(t, err, "plugin outside is not installed here")
	require.ErrorContains(t, err, "the content of secret/")
}
