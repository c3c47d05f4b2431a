// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/wrapping"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestTokensAreNotSent(t *testing.T) {
	t.Parallel()
	const token = "hvs.secrettoken"
	hr := httptest.NewRequest(http.MethodPut, "/v1/kv/a?x=y", strings.NewReader("{}"))
	hr.Header = http.Header{"X-Vault-Token": {token}, "Authorization": {"bearer " + token}, "Accept": {"x"}}
	l := &logical.Request{
		ID: "id", Path: "a", Operation: logical.UpdateOperation,
		ClientToken: "salted-" + token, InboundSSCToken: token,
		ClientTokenSource: logical.ClientTokenFromAuthzHeader,
		Headers: http.Header{"x-vault-token": {token}, "Authorization": {"Bearer " + token},
			"X-Copy": {"t=" + token}, "X-Kept": {"kept"}},
		HTTPRequest: hr,
		Auth:        &logical.Auth{ClientToken: token, Accessor: "accessor"},
	}
	l.SetTokenEntry(&logical.TokenEntry{ID: token})
	raw, err := EncodeRequest(&Request{Logical: l})
	require.NoError(t, err)
	require.NotContains(t, string(raw), token)
	got, err := DecodeRequest(raw)
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"X-Kept": {"kept"}}, got.Logical.Headers)
	require.Nil(t, got.Logical.HTTPRequest)
	require.Equal(t, "accessor", got.Logical.Auth.Accessor)
	require.Len(t, l.Headers, 4, "the caller's request is not changed")

	answer, err := EncodeAnswer(&Answer{Response: &logical.Response{
		Auth:     &logical.Auth{ClientToken: token},
		WrapInfo: &wrapping.ResponseWrapInfo{Token: token, TTL: 5},
	}})
	require.NoError(t, err)
	require.NotContains(t, string(answer), token)
}

// The client's headers come with the token as it was sent, which the request at a backend has
// no more. No copy of it goes with them.
func TestTokensAreNotSentWithTheClientsHeaders(t *testing.T) {
	t.Parallel()
	for source, header := range map[logical.ClientTokenSource]http.Header{
		logical.ClientTokenFromVaultHeader: {"X-Vault-Token": {"any-id"}},
		logical.ClientTokenFromAuthzHeader: {"Authorization": {"Bearer any-id"}},
	} {
		header["X-Copy"], header["Cookie"], header["X-Kept"] = []string{"any-id"}, []string{"a=b; t=any-id"}, []string{"kept"}
		raw, err := EncodeRequest(&Request{Logical: &logical.Request{Path: "a", ClientTokenSource: source},
			ClientHeaders: header})
		require.NoError(t, err)
		require.NotContains(t, string(raw), "any-id")
		got, err := DecodeRequest(raw)
		require.NoError(t, err)
		require.Equal(t, map[string][]string{"X-Kept": {"kept"}}, got.ClientHeaders)
		require.Len(t, header, 4, "the caller's headers are not changed")
	}
}

// TestSecondCopyOfATokenIsNotSent: at a backend the token is salted and cannot be
// compared.
func TestSecondCopyOfATokenIsNotSent(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"Bearer hvs.secret", "bearer  hvb.secret", " Bearer hvr.secret"} {
		got := transfer(t, &Request{Logical: &logical.Request{
			ClientTokenSource: logical.ClientTokenFromVaultHeader,
			Headers:           http.Header{"Authorization": {v}},
		}})
		require.Empty(t, got.Logical.Headers["Authorization"], v)
	}
}

// TestCredentialsForBackendsAreSent: what a backend asked Vault to pass through
// is not the token.
func TestCredentialsForBackendsAreSent(t *testing.T) {
	t.Parallel()
	got := transfer(t, &Request{Logical: &logical.Request{
		ClientToken: "other", ClientTokenSource: logical.ClientTokenFromVaultHeader,
		Headers: http.Header{"Authorization": {"Basic Y2xpZW50OnNlY3JldA=="}},
	}})
	require.Equal(t, []string{"Basic Y2xpZW50OnNlY3JldA=="}, got.Logical.Headers["Authorization"])
}
