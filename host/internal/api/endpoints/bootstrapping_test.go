// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestBootstrappingSecondaryGoesByAnOperationToken(t *testing.T) {
	t.Parallel()
	const update = "/v1/sys/replication/performance/secondary/update-primary"
	f := &fakeController{roles: map[replication.Mode]replication.Role{replication.DR: replication.Disabled,
		replication.Performance: replication.Secondary}}
	tokens, activations := &outsideTokens{}, &fakeActivations{}
	h := WithoutCore(Options{Controller: f, Primary: f, Secondary: f, Tokens: tokens, Activations: activations})
	do := func(path, body string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	for body, want := range map[string]int{
		``: 403, `{}`: 403, `{"dr_operation_token":"dro.bad"}`: 403, `{"dr_operation_token":7}`: 403, `[]`: 400, `{`: 400,
		`{"dr_operation_token":"` + strings.Repeat("x", bootstrappingBodyMax) + `"}`: 400,
	} {
		code, answer := do(update, body)
		require.Equal(t, want, code, "%.40s: %s", body, answer)
		require.Contains(t, answer, `{"errors":["`)
	}
	require.Empty(t, f.calls)
	require.Empty(t, activations.requests)

	code, answer := do(update, `{"dr_operation_token":"dro.good","update_primary_addrs":["https://b:8201"]}`)
	require.Equal(t, 200, code, answer)
	require.Contains(t, answer, "being connected to the primary")
	require.Equal(t, UpdatePrimaryRequest{Addrs: []string{"https://b:8201"}}, f.update)
	code, _ = do("/v1/sys/replication/secondary/update-primary",
		`{"dr_operation_token":"dro.good","token":"jwt","ca_file":"/ca"}`)
	require.Equal(t, 200, code)
	require.Equal(t, "jwt", activations.requests[0].Token)
	require.Equal(t, "/ca", activations.requests[0].CAFile)
	require.NotNil(t, f.update.Payload)
	code, answer = do("/v1/sys/replication/recover", `{"dr_operation_token":"dro.good"}`)
	require.Equal(t, 200, code, answer)
	require.Equal(t, []string{"update-primary", "update-primary", "recover-performance"}, f.calls)
	require.Equal(t, "sys/replication/recover", tokens.paths[len(tokens.paths)-1])

	code, _ = do(update, `{"dr_operation_token":"dro.good","token":"jwt","update_primary_addrs":"https://b:8201"}`)
	require.Equal(t, 400, code)
	f.err = replication.Errorf(replication.Unreachable, "the primary answered at none of the addresses")
	code, answer = do(update, `{"dr_operation_token":"dro.good","update_primary_addrs":"https://b:8201"}`)
	require.Equal(t, 502, code)
	require.Contains(t, answer, "at none of the addresses")
	code, _ = do("/v1/sys/replication/performance/secondary/unknown", `{"dr_operation_token":"dro.good"}`)
	require.Equal(t, 404, code)
}

// outsideTokens are asked outside of Vault's core.
type outsideTokens struct{ paths []string }

func (f *outsideTokens) Allow(ctx context.Context, token string, use *logical.Request) error {
	if operationtoken.InsideCore(ctx) {
		return replication.Errorf(replication.Internal, "the core's state lock is not held here")
	}
	f.paths = append(f.paths, use.Path)
	if token == "dro.good" {
		return nil
	}
	return replication.Errorf(replication.Denied, "wrong token")
}

func (f *outsideTokens) Consume(context.Context, string) error { return nil }
