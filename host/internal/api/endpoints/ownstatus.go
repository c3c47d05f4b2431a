// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// OwnStatus answers a status endpoint outside of Vault's core, while the core cannot answer
// or check a token. OK is false for other paths.
func OwnStatus(path string, status func(replication.Mode) *ModeStatus) (answer *logical.HTTPResponse, ok bool) {
	data := map[string]any{}
	for _, mode := range replication.Modes() {
		switch path {
		case "/v1/sys/replication/status":
			data[string(mode)] = render(mode, status(mode), withheld)
		case "/v1/sys/replication/" + string(mode) + "/status":
			data = render(mode, status(mode), withheld)
		}
	}
	if len(data) == 0 {
		return nil, false
	}
	answer = logical.LogicalResponseToHTTPResponse(&logical.Response{Data: data, MountType: "system"})
	// A missing id does no harm.
	answer.RequestID, _ = uuid.GenerateUUID()
	return answer, true
}
