// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/roottoken"
	"github.com/stretchr/testify/require"
)

// TestStockClient does what `vault operator generate-root -dr-token` does.
func TestStockClient(t *testing.T) {
	t.Parallel()
	c, keys, store := newCollector(t, 3, 2)
	server := httptest.NewServer(Handler(c))
	t.Cleanup(server.Close)
	client, err := api.NewClient(&api.Config{Address: server.URL})
	require.NoError(t, err)
	sys := client.Sys()

	status, err := sys.GenerateDROperationTokenStatus()
	require.NoError(t, err)
	require.False(t, status.Started)
	require.Equal(t, 2, status.Required)

	otp, err := roottoken.GenerateOTP(status.OTPLength)
	require.NoError(t, err)
	status, err = sys.GenerateDROperationTokenInit(otp, "")
	require.NoError(t, err)
	require.True(t, status.Started)
	require.Empty(t, status.OTP, "a client's own password is not sent back")
	require.NoError(t, sys.GenerateDROperationTokenCancel())

	status, err = sys.GenerateDROperationTokenInit("", "")
	require.NoError(t, err)
	otp = status.OTP
	require.Len(t, otp, status.OTPLength)
	again, err := sys.GenerateDROperationTokenStatus()
	require.NoError(t, err)
	require.Equal(t, status.Nonce, again.Nonce)
	require.Empty(t, again.OTP, "shown once")

	_, err = sys.GenerateDROperationTokenUpdate(hex.EncodeToString(keys.share(0)), "wrong")
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)

	status, err = sys.GenerateDROperationTokenUpdate(hex.EncodeToString(keys.share(0)), again.Nonce)
	require.NoError(t, err)
	require.Equal(t, 1, status.Progress)
	require.False(t, status.Complete)
	status, err = sys.GenerateDROperationTokenUpdate(base64.StdEncoding.EncodeToString(keys.share(2)), again.Nonce)
	require.NoError(t, err)
	require.True(t, status.Complete)
	require.Empty(t, status.EncodedRootToken)
	idle, err := sys.GenerateDROperationTokenStatus()
	require.NoError(t, err)
	token, err := roottoken.DecodeToken(status.EncodedToken, otp, idle.OTPLength)
	require.NoError(t, err)
	require.NoError(t, NewVerifier(store, nil).Allow(context.Background(), token, promote))
}

func TestHandlerWireFormat(t *testing.T) {
	t.Parallel()
	c, keys, _ := newCollector(t, 1, 1)
	do := func(method, path, body string) (int, map[string]any) {
		w := httptest.NewRecorder()
		Handler(c).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		var out map[string]any
		data, _ := io.ReadAll(w.Body)
		if len(data) > 0 {
			require.NoError(t, json.Unmarshal(data, &out))
		}
		return w.Code, out
	}
	code, out := do("PUT", AttemptPath, "")
	require.Equal(t, 200, code)
	for _, field := range []string{"nonce", "started", "progress", "required", "complete", "encoded_token",
		"encoded_root_token", "pgp_fingerprint", "otp", "otp_length"} {
		require.Contains(t, out, field)
	}
	nonce := out["nonce"].(string)
	for _, body := range []string{"", "{", `{"nonce":"` + nonce + `"}`, `{"key":7,"nonce":""}`, `{"key":"zz","nonce":""}`,
		`{"key":"AAAA","nonce":"` + nonce + `"}`} {
		code, out := do("POST", UpdatePath, body)
		require.Equal(t, 400, code, body)
		require.Len(t, out["errors"], 1, body)
	}
	// An encoder may escape slashes and any other character.
	escaped := strings.ReplaceAll(base64.StdEncoding.EncodeToString(keys.share(0)), "/", `\/`)
	code, out = do("POST", UpdatePath, `{"key":"`+escaped+`","nonce":"`+nonce+`"}`)
	require.Equal(t, 200, code)
	require.Equal(t, true, out["complete"])

	code, _ = do("DELETE", AttemptPath, "")
	require.Equal(t, 204, code)
	for _, m := range []string{"HEAD", "PATCH", "LIST"} {
		code, _ = do(m, AttemptPath, "")
		require.Equal(t, 405, code)
	}
	code, _ = do("GET", UpdatePath, "")
	require.Equal(t, 405, code)
	code, _ = do("PUT", AttemptPath, strings.Repeat(" ", bodyMax+1))
	require.Equal(t, 400, code)
}

// A DR secondary has no audit devices: its log names who disturbed an attempt.
func TestEachCallLeavesATrace(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	keys := newFakeKeys(t, 3, 2)
	c := NewCollector(keys, NewVerifier(new(memoryStore), nil), hclog.New(&hclog.LoggerOptions{Output: &log}))
	do := func(method, path, body, want string) map[string]any {
		t.Helper()
		log.Reset()
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body))
		r.RemoteAddr = "192.0.2.7:4711"
		Handler(c).ServeHTTP(w, r)
		if want == "" {
			require.Empty(t, log.String())
		} else {
			require.Contains(t, log.String(), want)
			require.Contains(t, log.String(), "client=192.0.2.7:4711")
		}
		var out map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &out)
		return out
	}
	do("DELETE", AttemptPath, "", "")
	nonce := do("PUT", AttemptPath, "", "was started")["nonce"].(string)
	do("PUT", AttemptPath, "", "was not started")
	do("GET", AttemptPath, "", "")
	share := hex.EncodeToString(keys.share(0))
	refused := do("PUT", UpdatePath, `{"key":"`+share+`","nonce":"wrong"}`, "was refused")
	require.NotContains(t, refused["errors"].([]any)[0], nonce)
	do("PUT", UpdatePath, `{"key":"`+share+`","nonce":"`+nonce+`"}`, "was given")
	require.NotContains(t, log.String(), share)
	do("DELETE", AttemptPath, "", "was cancelled")
}
