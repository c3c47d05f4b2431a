// SPDX-License-Identifier: MPL-2.0

package answer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestAnswersHaveTheFormOfVault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write  func(w http.ResponseWriter)
		status int
		body   string
	}{
		"a body":        {func(w http.ResponseWriter) { answer.JSON(w, 200, map[string]int{"a": 1}) }, 200, "{\"a\":1}\n"},
		"no body":       {func(w http.ResponseWriter) { answer.JSON(w, 429, nil) }, 429, ""},
		"a refusal":     {func(w http.ResponseWriter) { answer.Refuse(w, 400, "no") }, 400, "{\"errors\":[\"no\"]}\n"},
		"without words": {func(w http.ResponseWriter) { answer.Refuse(w, 405) }, 405, "{\"errors\":[]}\n"},
		"a kind": {func(w http.ResponseWriter) {
			answer.Error(w, replication.Errorf(replication.Unavailable, "later"))
		}, 503, "{\"errors\":[\"later\"]}\n"},
		"a status": {func(w http.ResponseWriter) {
			answer.Error(w, &logical.ReplicationCodedError{Code: 418, Msg: "tea"})
		}, 418, "{\"errors\":[\"tea\"]}\n"},
	} {
		w := httptest.NewRecorder()
		c.write(w)
		require.Equal(t, c.status, w.Code, name)
		require.Equal(t, c.body, w.Body.String(), name)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"), name)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), name)
	}
}
