// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// joinTimeout bounds the exchange with the primary before anything is changed.
const joinTimeout = 45 * time.Second

// askHandover has the plugin fetch the handover of the primary's host, and opens it. The handover is sealed under the
// pairing key, for this cluster and for the challenge of this exchange.
func (ss *sessions) askHandover(ctx context.Context, mode replication.Mode, req replication.EnableSecondaryRequest,
	pairing []byte, b handover.Binding) (*replication.Transition, *handover.Material, error) {
	plugin, err := ss.backend(ctx, mode)
	if err != nil {
		return nil, nil, err
	}
	req.Challenge = handover.NewKey()
	b.Challenge = req.Challenge
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	t, err := plugin.EnableSecondary(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	m, err := openHandover(t, pairing, b)
	return t, m, err
}

// openHandover opens the handover of the primary's host for this host.
func openHandover(t *replication.Transition, pairing []byte, b handover.Binding) (*handover.Material, error) {
	if t.Handover == nil {
		return nil, replication.Errorf(replication.Internal, "the plugin brought no key material of the primary")
	}
	m, err := handover.Open(pairing, b, t.Handover.Sealed)
	if err != nil {
		return nil, replication.Errorf(replication.Denied, "what the primary handed over cannot be opened by this cluster: "+
			"%w", err)
	}
	return m, nil
}

// provesSet refuses the handover of a cluster of another set. The id of a set proves nothing, because everybody can
// read it. The key of the set's index is made with the set, and only hosts of its clusters know it. The handover is
// sealed for this host and answers its challenge, so its sender has that key now.
func provesSet(mr *ModeRecord, m *handover.Material) error {
	if m.SetID == mr.SetID && len(mr.IndexKey) > 0 && subtle.ConstantTimeCompare(m.IndexKey, mr.IndexKey) == 1 {
		return nil
	}
	return replication.Errorf(replication.Denied,
		"the cluster that answers as the primary does not have the secret of this replication set, so it is not of the "+
			"set, whatever id it shows: nothing was changed; "+
			"find out who made the activation token, and disable and enable this cluster anew if it is to join another set")
}
