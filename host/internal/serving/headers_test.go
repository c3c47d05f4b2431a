// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two requests of one path have headers of their own, as long as they are under way.
func TestHeadersAreOfOneRequest(t *testing.T) {
	t.Parallel()
	s := &Server{Options: Options{Set: &set{serves: true}}}
	under, url := "", "/v1/kv/a"
	send := func(value string, during func(path string)) {
		r := httptest.NewRequest(http.MethodPut, url, nil)
		r.Header.Set("X-Client", value)
		s.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			require.Equal(t, url, r.URL.Path)
			r.Header.Del("X-Client") // Vault takes some away
			during(r.URL.Path)
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
	send("one", func(one string) {
		send("two", func(two string) {
			require.Equal(t, "one", s.headers.of(one).Get("X-Client"))
			require.Equal(t, "two", s.headers.of(two).Get("X-Client"))
			require.Nil(t, s.headers.of(strings.Clone(two)))
			under = two
		})
		require.Nil(t, s.headers.of(under), "it is answered")
	})
	require.Nil(t, s.headers.of(""))

	s.Set = &set{}
	send("three", func(path string) { require.Nil(t, s.headers.of(path), "a primary forwards nothing") })
}
