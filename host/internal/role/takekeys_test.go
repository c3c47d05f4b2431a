// SPDX-License-Identifier: MPL-2.0

package role

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// handing is the plugin of a secondary, through which the host that answers as its primary
// hands something over.
type handing struct {
	replication.Backend
	pairing []byte
	binding handover.Binding
	hands   *handover.Material
}

// pluginsOf gives one plugin.
type pluginsOf struct {
	noPlugins
	b replication.Backend
}

func (p pluginsOf) Backend(context.Context, replication.Mode) (replication.Backend, error) {
	return p.b, nil
}

// EnableSecondary answers the challenge.
func (h *handing) EnableSecondary(_ context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	b := h.binding
	b.Challenge = req.Challenge
	sealed, err := handover.Seal(h.pairing, b, h.hands)
	if err != nil {
		return nil, err
	}
	return &replication.Transition{Handover: &replication.Handover{Sealed: sealed}}, nil
}

// A secondary asks whoever has its pairing key for keys. It takes them from a host of its set
// alone.
func TestKeysAreTakenFromAHostOfTheSetAlone(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		s := newSet(t, k)
		primary, secondary := open(t, k, newDisk(s.primary), s.share), open(t, k, newDisk(s.secondary), s.share)
		own := secondary.roles.Record().mode(replication.DR)
		h := &handing{pairing: own.Pairing, hands: primary.material(t),
			binding: handover.Binding{Mode: replication.DR, SetID: own.SetID, SecondaryID: west}}
		secondary.sessions.plugins = pluginsOf{b: h}
		duty, err := secondary.roles.active()
		require.NoError(t, err)

		ofTheSet := bytes.Clone(own.IndexKey)
		h.hands.IndexKey = bytes.Clone(ofTheSet)
		require.ErrorContains(t, secondary.taker.takeKeysAnew(duty, replication.DR), "does not have the new key shares")

		h.hands.IndexKey = bytes.Clone(ofTheSet)
		h.hands.IndexKey[0]++
		h.hands.Shares[0]++ // others than it has, so that it would take them
		before, err := secondary.core.RootKey()
		require.NoError(t, err)
		err = secondary.taker.takeKeysAnew(duty, replication.DR)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "the secret of this replication set")
		after, err := secondary.core.RootKey()
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.NoError(t, duty.Err(), "the core was not restarted")
	})
}
