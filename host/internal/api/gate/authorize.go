// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/jsonutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
)

const (
	tokenField = operationtoken.Field
	// adminBodyMax bounds the body of a raft administration request in bytes.
	adminBodyMax = 64 << 10
)

// authorize checks the DR operation token of a raft administration request. It returns the
// request for Vault, or it answers and returns false.
//
// The token is in the body, or in X-Vault-Token, where the stock CLI puts it for the
// autopilot commands. Vault gets it as a request field in either case. The endpoint checks
// it once more behind the gate, because a request may pass a standby's gate just before
// that node becomes active.
func (g *gate) authorize(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	body, err := readBody(w, r)
	if err != nil {
		answer.Refuse(w, http.StatusBadRequest, "the request body cannot be read, or is larger than 64 KiB")
		return nil, false
	}
	fields := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &fields); err != nil {
			answer.Refuse(w, http.StatusBadRequest, "the request body is not a JSON object: dr_operation_token cannot be read "+
				"from it")
			return nil, false
		}
	}
	var token string
	if raw, ok := fields[tokenField]; ok {
		if err := json.Unmarshal(raw, &token); err != nil {
			answer.Refuse(w, http.StatusBadRequest, "dr_operation_token is not a string")
			return nil, false
		}
	} else {
		token = headerToken(r)
	}
	if g.Tokens == nil {
		answer.Refuse(w, http.StatusBadRequest, refusedText)
		return nil, false
	}
	data, err := parameters(r, body)
	if err != nil {
		answer.Refuse(w, http.StatusBadRequest, "the request body is not a JSON object")
		return nil, false
	}
	use := operationtoken.Use(strings.TrimPrefix(r.URL.Path, "/v1/"), data, operationtoken.Connection(r))
	if r.Method == http.MethodGet {
		// A token for snapshots must not permit to restore one: on the primary an update of this path restores.
		use.Operation = logical.ReadOperation
	}
	if err := g.Tokens.Allow(r.Context(), token, use); err != nil {
		answer.Error(w, err)
		return nil, false
	}
	r = r.Clone(r.Context())
	// It is no token of the token store: Vault must not look it up.
	r.Header.Del("X-Vault-Token")
	r.Header.Del("Authorization")
	if r.Method == http.MethodGet {
		query := r.URL.Query()
		query.Set(tokenField, token)
		r.URL.RawQuery = query.Encode()
	} else if _, ok := fields[tokenField]; !ok {
		if fields[tokenField], err = json.Marshal(token); err == nil {
			body, err = json.Marshal(fields)
		}
		if err != nil {
			answer.Refuse(w, http.StatusInternalServerError, "the request cannot be encoded again")
			return nil, false
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Del("Content-Length")
	r.TransferEncoding = nil
	return r, true
}

// parameters decodes the parameters of the request as Vault does: a policy compares
// their values.
func parameters(r *http.Request, body []byte) (map[string]any, error) {
	data := map[string]any{}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := jsonutil.DecodeJSON(body, &data); err != nil {
			return nil, err
		}
	}
	for name, values := range r.URL.Query() {
		if len(values) == 1 {
			data[name] = values[0]
		} else {
			data[name] = values
		}
	}
	return data, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, adminBodyMax))
}

func headerToken(r *http.Request) string {
	if token := r.Header.Get("X-Vault-Token"); token != "" {
		return token
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// guardedBody ends a request body when the node has become a DR secondary.
type guardedBody struct {
	io.ReadCloser
	node Node
}

var errRoleChanged = errors.New(refusedText)

func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	// After the read: it may have waited long.
	if state := b.node.State(); (state.DRSecondary || state.Bootstrapping) && !state.Sealed {
		clear(p[:n])
		return 0, errRoleChanged
	}
	return n, err
}
