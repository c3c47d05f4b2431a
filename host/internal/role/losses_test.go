// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The refusal names at once everything that the secondary would lack as the primary, and each remedy once.
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

// A performance secondary is promoted only with force if it cannot load a plugin or if its filter hides a mount.
func TestPromotionOfASecondaryThatLacksSomething(t *testing.T) {
	s := newStanding(t)
	s.lacks = []string{"plugin outside is not installed here"}
	_, err := s.secondary.PromoteSecondary(t.Context(), perf, endpoints.PromoteRequest{})
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	require.ErrorContains(t, err, "plugin outside is not installed here")
	require.ErrorContains(t, err, "the content of secret/")
}
