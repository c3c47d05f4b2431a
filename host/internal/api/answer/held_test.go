// SPDX-License-Identifier: MPL-2.0

package answer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
)

// A held answer has the first status that the handler sets, or 200 if it sets none.
func TestHeldAnswer(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	h := answer.Hold(w)
	require.Zero(t, h.Status)
	http.Error(h, "no", http.StatusForbidden)
	h.WriteHeader(http.StatusOK)
	require.True(t, h.Says(http.StatusForbidden, "no"))
	require.False(t, h.Says(http.StatusOK, "no"))
	require.False(t, h.Says(http.StatusForbidden, "yes"))
	require.Zero(t, w.Body.Len())
	h.Send(w, []byte("other"))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, "other", w.Body.String())
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))

	w = httptest.NewRecorder()
	h = answer.Hold(w)
	_, err := h.Write([]byte("a"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, h.Status)

	answer.Hold(w).Send(w, nil)
	require.Equal(t, http.StatusOK, w.Code)
}
