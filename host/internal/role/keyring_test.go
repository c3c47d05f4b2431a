// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A keyring that is older than the present one is not applied: new data must not be encrypted with a retired key.
func TestOlderKeyringIsLeftOut(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		s := newSet(t, k)
		older := s.primary[vaultname.Keyring]
		primary := open(t, k, newDisk(s.primary), s.share)
		require.NoError(t, rotate(primary, s))
		require.NoError(t, s.write(primary))
		frames := s.frames(t, primary)
		secondary := open(t, k, newDisk(s.secondary), s.share)
		require.NoError(t, secondary.apply(frames))
		term, err := secondary.core.ActiveTerm()
		require.NoError(t, err)
		require.Equal(t, 2, term)

		after := frames[len(frames)-1].To
		enc := journal.NewFrameEncoder(after.Sequence)
		enc.Add(after.Sequence+1, []journal.Op{{Kind: journal.Put, Key: vaultname.Keyring, Value: older}})
		back := &replication.Frame{After: after.Sequence, To: after, Payload: enc.Payload()}
		back.To.Sequence++
		require.NoError(t, secondary.apply([]*replication.Frame{back}))
		term, err = secondary.core.ActiveTerm()
		require.NoError(t, err)
		require.Equal(t, 2, term)
		s.requireSame(t, k, primary, secondary, s.share)
	})
}
