// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatASecondaryDoesNotHave(t *testing.T) {
	t.Parallel()
	var none *hiding
	require.Empty(t, none.missing())
	require.Empty(t, (&hiding{}).missing())
	h := &hiding{hidden: map[string]string{"1": "secret/", "2": "auth/ldap/"}}
	require.Equal(t, "the content of auth/ldap/, secret/", h.missing())
	h.awaited = map[string]bool{"3": true}
	require.Equal(t, "the content of auth/ldap/, secret/, 1 mounts that a copy has not brought yet", h.missing())
}
