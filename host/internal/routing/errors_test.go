// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Vault keeps 240 characters of why it has given a lease up, with words of its own around
// what the backend said: they have to be enough to know it again.
func TestReasonOfALeaseThatWasGivenUp(t *testing.T) {
	t.Parallel()
	const kept = 240
	given := func(err error) string {
		var resp *logical.Response
		text := fmt.Errorf("out of retries: %w", fmt.Errorf("failed to revoke entry: resp: %#v err: %w", resp, err)).Error()
		return text[:min(len(text), kept)]
	}
	for _, kind := range []replication.Kind{replication.Unreachable, replication.Unavailable} {
		require.True(t, SaysAway(given(noAnswer(context.Background(), replication.Errorf(kind, "the link is down")))))
	}
	require.True(t, SaysAway(given(errLate)))
	require.True(t, SaysAway(given(errPrimaryReadOnly)))
	require.False(t, SaysAway(given(errors.New("the role is not there"))))
}
