// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
)

const healthPath = "/v1/sys/health"

// Query parameters of sys/health with the status for a DR secondary, in place of 472, for a
// node that is sealed, in place of 503, and for a standby, in place of 429 or as if it were active.
const (
	drSecondaryCode = "drsecondarycode"
	sealedCode      = "sealedcode"
	standbyCode     = "standbycode"
	standbyOK       = "standbyok"
)

// statusDRSecondary is what sys/health answers of a DR secondary.
const statusDRSecondary = 472

// serveBootstrapping is for a performance secondary whose first copy has not ended.
func (g *gate) serveBootstrapping(w http.ResponseWriter, r *http.Request, state State) {
	if g.serveOperator(w, r, state) {
		return
	}
	found, ok := g.find(r)
	if !ok || !found.state {
		answer.Refuse(w, http.StatusServiceUnavailable, bootstrappingText)
		return
	}
	disarm(r, found)
	if r.URL.Path != healthPath {
		g.next.ServeHTTP(w, r)
		return
	}
	// Vault's health check would say that this node is a DR secondary, because the core is
	// built like one. The node serves no more than a sealed one: other requests get 503.
	query := r.URL.Query()
	if query.Has(drSecondaryCode) {
		r = r.Clone(r.Context())
		query.Del(drSecondaryCode)
		r.URL.RawQuery = query.Encode()
	}
	held := answer.Hold(w)
	g.next.ServeHTTP(held, r)
	if held.Status == statusDRSecondary {
		held.Status = http.StatusServiceUnavailable
		// Vault has refused a code that is no number.
		if code, err := strconv.Atoi(query.Get(sealedCode)); err == nil && code >= 100 && code <= 999 {
			held.Status = code
		}
	}
	body := notDRSecondary(held.Body.Bytes())
	if w.Header().Get("Content-Length") != "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	held.Send(w, body)
}

// operatorPaths let an operator give another primary when the present one is gone before
// the first copy has ended. The cluster has no tokens of its own yet. So a DR operation
// token authorizes this, made from the primary's key shares.
var operatorPaths = map[string]bool{
	"/v1/sys/replication/performance/secondary/update-primary": true,
	"/v1/sys/replication/secondary/update-primary":             true,
	"/v1/sys/replication/recover":                              true,
	// Makes the key that a token for update-primary can be encrypted to.
	"/v1/sys/replication/performance/secondary/generate-public-key": true,
}

func (g *gate) serveOperator(w http.ResponseWriter, r *http.Request, state State) bool {
	found, ok := rule{methods: write, rootOnly: true}, operatorPaths[r.URL.Path]
	next := g.Operator
	if r.URL.Path == operationtoken.AttemptPath || r.URL.Path == operationtoken.UpdatePath {
		found, ok = g.find(r)
		next = g.OperationTokens
	}
	if !ok || next == nil || r.URL.RawPath != "" || !slices.Contains(found.methods, r.Method) || inNamespace(r) {
		return false
	}
	disarm(r, found)
	if !state.Active {
		next = g.Forward
	}
	next.ServeHTTP(w, r)
	return true
}

// notDRSecondary corrects the role in disaster recovery in a health answer.
func notDRSecondary(body []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields["replication_dr_mode"] == nil {
		return body
	}
	fields["replication_dr_mode"] = json.RawMessage(`"disabled"`)
	corrected, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return append(corrected, '\n')
}
