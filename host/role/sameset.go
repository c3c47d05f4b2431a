// SPDX-License-Identifier: MPL-2.0

package role

import (
	"crypto/subtle"

	"github.com/vault-replication/vault-replication/host/handover"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// provesSet refuses what a cluster has handed over unless that cluster is of the set of this
// secondary. Everybody can read the id of a set. The key of its index is made with the set and
// is known to the hosts of its clusters alone; a handover is sealed for this host and answers
// its challenge, so who has put the key into it has it now.
func provesSet(mr *ModeRecord, m *handover.Material) error {
	if m.SetID == mr.SetID && len(mr.IndexKey) > 0 && subtle.ConstantTimeCompare(m.IndexKey, mr.IndexKey) == 1 {
		return nil
	}
	return replication.Errorf(replication.Denied,
		"the cluster that answers as the primary does not have the secret of this replication set, so it is not of the set, whatever id it shows: nothing was changed; "+
			"find out who made the activation token, and disable and enable this cluster anew if it is to join another set")
}
