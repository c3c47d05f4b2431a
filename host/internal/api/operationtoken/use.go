// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"net"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"
)

// Field is the name of the request field that carries a DR operation token.
const Field = "dr_operation_token"

// Use is the request that a token has to allow, as a policy sees it: an update of path
// ("sys/replication/dr/secondary/promote") with these parameters, from this client. The
// token itself stands for X-Vault-Token and is no parameter. A nil connection means that
// the client's address is not known; then a token that is bound to addresses allows
// nothing.
func Use(path string, data map[string]any, from *logical.Connection) *logical.Request {
	parameters := make(map[string]any, len(data))
	for name, value := range data {
		if name != Field {
			parameters[name] = value
		}
	}
	return &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: parameters, Connection: from}
}

// Connection describes the client of a request that has not reached Vault's core.
// The listener has put the address of a proxy's client into RemoteAddr already,
// where it is configured to believe that proxy.
func Connection(r *http.Request) *logical.Connection {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return &logical.Connection{RemoteAddr: host}
}
