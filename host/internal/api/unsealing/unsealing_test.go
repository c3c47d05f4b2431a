// SPDX-License-Identifier: MPL-2.0

package unsealing

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

// node answers as Vault does with a threshold. A share is right or not.
type node struct {
	threshold int
	given     []string
	sealed    bool
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	share := r.URL.Query().Get("share")
	switch {
	case r.URL.Path == "/v1/other":
		w.WriteHeader(http.StatusTeapot)
		return
	case r.URL.Path == statusPath:
	case share == "unreadable":
		w.WriteHeader(http.StatusBadRequest)
		return
	default:
		n.given = append(n.given, share)
		if len(n.given) < n.threshold {
			break
		}
		all := strings.Join(n.given, "")
		n.given = nil
		if strings.Contains(all, "broken") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if strings.Contains(all, "wrong") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"errors":["invalid key"]}`))
			return
		}
		n.sealed = false
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"sealed": n.sealed, "progress": len(n.given)})
}

type watched struct {
	t *testing.T
	*node
	log     bytes.Buffer
	handler http.Handler
}

func watch(t *testing.T, threshold int) *watched {
	w := &watched{t: t, node: &node{threshold: threshold, sealed: true}}
	w.handler = New(func() int { return len(w.given) }, hclog.New(&hclog.LoggerOptions{Output: &w.log})).Wrap(w.node)
	return w
}

func (w *watched) ask(method, path, from string) (int, string) {
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, nil)
	r.RemoteAddr = from + ":1234"
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

func (w *watched) give(share, from string) int {
	code, _ := w.ask(http.MethodPut, unsealPath+"?share="+share, from)
	return code
}

func (w *watched) status() string {
	_, body := w.ask(http.MethodGet, statusPath, "192.0.2.9")
	return body
}

func TestAShareThatDoesNotBelongIsSaid(t *testing.T) {
	t.Parallel()
	w := watch(t, 2)
	require.Equal(t, http.StatusOK, w.give("right", "192.0.2.1"))
	require.NotContains(t, w.status(), "warnings")
	require.Equal(t, http.StatusBadRequest, w.give("wrong", "192.0.2.2"))
	require.Contains(t, w.status(), "failed: 1,")
	require.Contains(t, w.status(), `"sealed":true`)
	require.Contains(t, w.log.String(), `from="192.0.2.1 192.0.2.2"`)

	// An attempt that is under way is told too, and the log is not filled.
	require.Equal(t, http.StatusOK, w.give("wrong", "192.0.2.2"))
	require.Contains(t, w.status(), "failed: 1,")
	require.Equal(t, http.StatusBadRequest, w.give("wrong", "192.0.2.2"))
	require.Contains(t, w.status(), "failed: 2,")
	require.Equal(t, 1, strings.Count(w.log.String(), "\n"))

	for range 2 {
		require.Equal(t, http.StatusOK, w.give("right", "192.0.2.1"))
	}
	require.NotContains(t, w.status(), "warnings")
	w.sealed = true
	require.NotContains(t, w.status(), "warnings", "the next time it is sealed")
}

func TestWhatSpoilsNoAttemptIsNotSaid(t *testing.T) {
	t.Parallel()
	w := watch(t, 2)
	for range 3 {
		require.Equal(t, http.StatusBadRequest, w.give("unreadable", "192.0.2.1"))
	}
	require.Equal(t, http.StatusOK, w.give("right", "192.0.2.1"))
	require.Equal(t, http.StatusBadRequest, w.give("unreadable", "192.0.2.1"))
	require.Equal(t, http.StatusInternalServerError, w.give("broken", "192.0.2.1"))
	require.NotContains(t, w.status(), "warnings")

	// With one share nobody disturbs another.
	w = watch(t, 1)
	require.Equal(t, http.StatusBadRequest, w.give("wrong", "192.0.2.1"))
	require.NotContains(t, w.status(), "warnings")
	require.Empty(t, w.log.String())
	code, _ := w.ask(http.MethodGet, "/v1/other", "192.0.2.1")
	require.Equal(t, http.StatusTeapot, code)
}
