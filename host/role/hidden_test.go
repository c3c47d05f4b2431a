// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatASecondaryDoesNotHave(t *testing.T) {
	t.Parallel()
	visible := map[string]string{"3": "kv/", "4": "pki/"}
	require.Empty(t, namesOfLacking(nil, visible, nil))
	hidden := map[string]string{"1": "secret/", "2": "auth/ldap/"}
	require.Equal(t, "auth/ldap/, secret/", namesOfLacking(hidden, visible, nil))
	require.Equal(t, "auth/ldap/, kv/, secret/", namesOfLacking(hidden, visible, map[string]bool{"3": true, "gone": true}))
}
