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

// askHandover has the plugin fetch what the primary's host hands over, and opens it:
// it is sealed under the pairing key, for this cluster and a challenge of this very
// exchange.
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

// openHandover opens what a primary's host has handed over for this one.
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

// provesSet refuses what a cluster has handed over unless that cluster is of the set of this
// secondary. Everybody can read the id of a set. The key of its index is made with the set and
// is known to the hosts of its clusters alone; a handover is sealed for this host and answers
// its challenge, so who has put the key into it has it now.
func provesSet(mr *ModeRecord, m *handover.Material) error {
	if m.SetID == mr.SetID && len(mr.IndexKey) > 0 && subtle.ConstantTimeCompare(m.IndexKey, mr.IndexKey) == 1 {
		return nil
	}
	return replication.Errorf(replication.Denied,
		"the cluster that answers as the primary does not have the secret of this replication set, so it is not of the "+
			"set, whatever id it shows: nothing was changed; "+
			"find out who made the activation token, and disable and enable this cluster anew if it is to join another set")
}
