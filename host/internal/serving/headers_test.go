// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"
)

// Two requests of one path have headers of their own, as long as they are under way.
func TestHeadersAreOfOneRequest(t *testing.T) {
	t.Parallel()
	s, in, _ := server(t)
	in.serves = true
	const url = "/v1/kv/a"
	of := func(id string) http.Header {
		ctx := context.WithValue(t.Context(), logical.CtxKeyInFlightRequestID{}, id)
		return s.headers.of(s.Core.RequestNamed(ctx))
	}
	send := func(id string, during func()) {
		r := httptest.NewRequest(http.MethodPut, url, nil)
		r.Header.Set("X-Client", id)
		s.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			require.Equal(t, url, r.URL.Path)
			r.Header.Del("X-Client") // Vault takes some away
			s.Core.StoreInFlightReqData(id, vault.InFlightReqData{ReqPath: r.URL.Path})
			during()
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
	send("one", func() {
		send("two", func() {
			require.Equal(t, "one", of("one").Get("X-Client"))
			require.Equal(t, "two", of("two").Get("X-Client"))
		})
		require.Nil(t, of("two"), "it is answered")
		s.Core.StoreInFlightReqData("other", vault.InFlightReqData{ReqPath: url})
		require.Nil(t, of("other"), "the path is the same, the request is not")
	})
	require.Nil(t, of("nothing"), "what the core does by itself")
	in.serves = false
	send("three", func() { require.Nil(t, of("three"), "a primary forwards nothing") })
}
