// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"net/http"
	"sync"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
)

// clientHeaders are the headers of the requests under way, for the audit log of the primary. Vault gives a backend only
// those headers that it asked for.
type clientHeaders struct{ byName sync.Map }

// of are the headers of a request, none if it is not under way.
func (c *clientHeaders) of(name vaultcore.RequestName) http.Header {
	kept, _ := c.byName.Load(name)
	headers, _ := kept.(http.Header)
	return headers
}

// Wrap keeps the headers of the requests that this node may forward, until they are answered.
func (s *Server) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Set.Serves() && r.URL.Path != "" {
			name := vaultcore.NameRequest(r)
			s.headers.byName.Store(name, r.Header.Clone())
			defer s.headers.byName.Delete(name)
		}
		next.ServeHTTP(w, r)
	})
}
