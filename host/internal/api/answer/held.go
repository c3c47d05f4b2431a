// SPDX-License-Identifier: MPL-2.0

package answer

import (
	"bytes"
	"cmp"
	"net/http"
)

// Held is an answer of Vault that is not sent yet.
type Held struct {
	// Status is 0 as long as nothing is written.
	Status int
	Body   bytes.Buffer
	header http.Header
}

// Hold keeps the answer that Vault writes. Headers go to the real answer at once.
func Hold(w http.ResponseWriter) *Held { return &Held{header: w.Header()} }

// Send answers with the status and a body.
func (h *Held) Send(w http.ResponseWriter, body []byte) {
	if h.Status != 0 {
		w.WriteHeader(h.Status)
	}
	_, _ = w.Write(body) // a client that has gone reads no answer
}

// Says is whether it has a status and a text.
func (h *Held) Says(status int, text string) bool {
	return h.Status == status && bytes.Contains(h.Body.Bytes(), []byte(text))
}

// Header implements [http.ResponseWriter].
func (h *Held) Header() http.Header { return h.header }

// WriteHeader implements [http.ResponseWriter].
func (h *Held) WriteHeader(status int) { h.Status = cmp.Or(h.Status, status) }

// Write implements [http.ResponseWriter].
func (h *Held) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.Body.Write(b)
}
