// SPDX-License-Identifier: MPL-2.0

package rolequery_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/rolequery"
	"github.com/vault-replication/vault-replication/shared/replication"
)

type answer struct {
	code int
	body string
}

func TestAsk(t *testing.T) {
	t.Parallel()
	const status, health = "/v1/sys/replication/performance/status", "/v1/sys/health"
	none := answer{500, `{"errors":["local node not active but active cluster node not found"]}`}
	for name, c := range map[string]struct {
		answers map[string]answer
		want    *replication.RoleAtAnswer
	}{
		"a primary": {map[string]answer{status: {200, `{"data":{"mode":"primary","cluster_id":"set"}}`}},
			&replication.RoleAtAnswer{Role: replication.Primary, ClusterID: "set"}},
		"a secondary": {map[string]answer{status: {200,
			`{"data":{"mode":"secondary","cluster_id":"set","secondary_id":"eu"}}`}},
			&replication.RoleAtAnswer{Role: replication.Secondary, ClusterID: "set", SecondaryID: "eu"}},
		"a standby without a leader": {map[string]answer{status: none,
			health: {429, `{"initialized":true,"replication_performance_mode":"primary"}`}},
			&replication.RoleAtAnswer{Role: replication.Primary}},
		"a primary of the other mode": {map[string]answer{status: none,
			health: {200, `{"initialized":true,"replication_dr_mode":"primary"}`}}, nil},
		"a secondary's health": {map[string]answer{status: none,
			health: {200, `{"initialized":true,"replication_performance_mode":"secondary"}`}}, nil},
		"a sealed primary": {map[string]answer{status: none,
			health: {503, `{"initialized":true,"sealed":true,"replication_performance_mode":"primary"}`}}, nil},
		"a load balancer without Vault": {map[string]answer{status: {502, "<html>"}, health: {502, "<html>"}}, nil},
		"another page": {map[string]answer{status: {200, "{}"},
			health: {200, `{"replication_performance_mode":"primary"}`}}, nil},
		"a redirect": {map[string]answer{status: {307, ""}, health: {307, ""}}, nil},
		"more than an answer has": {map[string]answer{status: {200, `{"data":{"mode":"primary"},"x":"` +
			strings.Repeat("x", 2<<20) + `"}`}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Its certificate is of nobody's authority.
			s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				a, ok := c.answers[r.URL.Path]
				if !ok {
					a = answer{404, ""}
				}
				if a.code == 307 {
					http.Redirect(w, r, "/elsewhere", a.code)
					return
				}
				w.WriteHeader(a.code)
				_, _ = w.Write([]byte(a.body))
			}))
			defer s.Close()
			got, err := rolequery.Ask(t.Context(), replication.Performance, s.URL+"/")
			if c.want == nil {
				require.Equal(t, replication.Unreachable, replication.KindOf(err), "%v", got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestAskNobody(t *testing.T) {
	t.Parallel()
	for addr, kind := range map[string]replication.Kind{
		"https://127.0.0.1:1": replication.Unreachable, "ftp://a": replication.InvalidInput,
		"https://u:p@a": replication.InvalidInput, "": replication.InvalidInput,
	} {
		_, err := rolequery.Ask(t.Context(), replication.DR, addr)
		require.Equal(t, kind, replication.KindOf(err), addr)
	}
}
