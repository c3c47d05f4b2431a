// SPDX-License-Identifier: MPL-2.0

// Package answer writes the answers that come from outside of Vault's core in the form
// of those from inside. No cache may keep one: it may be a secret, and it is of the moment.
package answer

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// JSON answers with a body; nil is none.
func JSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body) // a client that has gone reads no answer
	}
}

// Refuse answers with Vault's list of errors; each text is one of them.
func Refuse(w http.ResponseWriter, status int, texts ...string) {
	JSON(w, status, map[string][]string{"errors": append([]string{}, texts...)})
}

// Error writes an error as the answer. The status is the one that the error carries. Without
// one, the kind of the error decides.
func Error(w http.ResponseWriter, err error) {
	status := replication.KindOf(err).HTTPStatus()
	var coded *logical.ReplicationCodedError
	if errors.As(err, &coded) {
		status = coded.Code
	}
	Refuse(w, status, err.Error())
}
