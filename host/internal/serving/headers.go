// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"net/http"
	"strings"
	"sync"
	"unsafe"
)

// clientHeaders are the headers of the requests under way, for the audit log of the primary.
// Vault hands a backend those alone that it asked for. Of the HTTP request it keeps the path:
// a copy of it that one request alone has, at its place in memory, names the request.
type clientHeaders struct{ byPath sync.Map }

// keep has the headers of a request known until it is answered.
func (c *clientHeaders) keep(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r.URL.Path = strings.Clone(r.URL.Path)
	name := unsafe.StringData(r.URL.Path)
	c.byPath.Store(name, r.Header.Clone())
	defer c.byPath.Delete(name)
	next.ServeHTTP(w, r)
}

// of are the headers of the request with this very path, none if it is not under way.
func (c *clientHeaders) of(path string) http.Header {
	kept, _ := c.byPath.Load(unsafe.StringData(path))
	headers, _ := kept.(http.Header)
	return headers
}

// Wrap has this node know the headers of the requests that it may forward.
func (s *Server) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || !s.Set.Serves() {
			next.ServeHTTP(w, r)
			return
		}
		s.headers.keep(w, r, next)
	})
}
