// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
)

// operates says whether a request changes something. A DR secondary has no audit devices,
// so such requests are logged. Those that make operation tokens have log lines of their
// own.
func operates(r *http.Request, found rule) bool {
	admin := strings.HasPrefix(r.URL.Path, "/v1/sys/replication/") ||
		strings.HasPrefix(r.URL.Path, "/v1/sys/storage/raft/")
	return admin && !found.state && slices.Contains(write, r.Method)
}

// logged serves an operation and writes to the server's log who asked for it: from where,
// with what kind of token, and with what result. There are no audit devices here.
func (g *gate) logged(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request)) {
	token := headerToken(r)
	head := &head{}
	defer func() { clear(head.Bytes()) }()
	if r.Body != nil {
		r.Body = &teeBody{ReadCloser: r.Body, to: head}
	}
	answer := &noted{ResponseWriter: w}
	path, client := r.URL.Path, r.RemoteAddr
	serve(answer, r)
	var fields struct {
		Token string `json:"dr_operation_token"`
	}
	if json.Unmarshal(head.Bytes(), &fields) == nil && fields.Token != "" {
		token = fields.Token
	}
	log := g.Logger.Info
	if answer.status >= http.StatusBadRequest {
		log = g.Logger.Warn
	}
	log("an operation was asked for on this secondary, which has no audit devices", "path", path, "client", client,
		"token", kindOf(token), "status", answer.status)
}

// kindOf names the kind of a token by its form. The token need not be valid.
func kindOf(token string) string {
	switch {
	case token == "":
		return "none"
	case strings.HasPrefix(token, "hvb."), strings.HasPrefix(token, "b."):
		return "batch"
	case strings.HasPrefix(token, "hvs."), strings.HasPrefix(token, "s."):
		return "service"
	default:
		return "operation"
	}
}

// head keeps the beginning of a body.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, adminBodyMax-h.Len()))])
	return len(p), nil
}

type teeBody struct {
	io.ReadCloser
	to io.Writer
}

func (t *teeBody) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	_, _ = t.to.Write(p[:n])
	return n, err
}

// noted keeps the status of an answer.
type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = cmp.Or(n.status, status)
	n.ResponseWriter.WriteHeader(status)
}

func (n *noted) Write(b []byte) (int, error) {
	n.status = cmp.Or(n.status, http.StatusOK)
	return n.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }
