// SPDX-License-Identifier: MPL-2.0

package node

import (
	"net/http"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
)

// snapshots serves a snapshot of raft storage as Vault does, on a cluster whose core cannot check the token. The gate
// has checked it.
func snapshots(core *vaultcore.Core) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if core.RaftFolder() == "" {
			answer.Refuse(w, http.StatusBadRequest, "raft storage is not in use")
			return
		}
		w.Header().Set("Content-Disposition", "attachment")
		w.Header().Set("Content-Type", "application/gzip")
		if err := core.Snapshot(w); err != nil {
			core.Logger().Error("a snapshot could not be written", "error", err)
			// Cut the answer, so that the client does not take it for a whole snapshot.
			panic(http.ErrAbortHandler)
		}
	})
}
