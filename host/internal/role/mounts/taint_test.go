// SPDX-License-Identifier: MPL-2.0

package mounts

import (
	"testing"

	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"
)

func TestOnlyAMountThatWasNotTaintedBeforeIsHeld(t *testing.T) {
	t.Parallel()
	table := func(tainted ...string) *vault.MountTable {
		mt := &vault.MountTable{Entries: []*vault.MountEntry{{UUID: "sound"}}}
		for _, uuid := range tainted {
			mt.Entries = append(mt.Entries, &vault.MountEntry{UUID: uuid, Tainted: true})
		}
		return mt
	}
	var known taints
	require.False(t, known.take("core/mounts"))
	known.learn("core/mounts", table())
	require.False(t, known.take("core/mounts"))
	known.learn("core/mounts", table("a"))
	require.False(t, known.take("core/auth"))
	require.True(t, known.take("core/mounts"))
	require.False(t, known.take("core/mounts"), "once")
	known.learn("core/mounts", table("a"))
	require.False(t, known.take("core/mounts"), "another write of the table")
	known.learn("core/mounts", table("a", "b"))
	require.True(t, known.take("core/mounts"))
	known.learn("core/mounts", nil)
	require.False(t, known.take("core/mounts"))
}
