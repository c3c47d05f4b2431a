// SPDX-License-Identifier: MPL-2.0

package rolechange

import (
	"net/http"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
)

// tooLate replaces Vault's answer to a request whose body came too late. Vault says that it
// cannot read the body.
type tooLate struct {
	http.ResponseWriter
	request *request
	done    bool
	// dropped says that the body of the answer is not Vault's.
	dropped bool
}

func (a *tooLate) WriteHeader(status int) {
	if !a.done && a.request.late.Load() {
		a.dropped = true
		refuse(a.ResponseWriter, changingText)
	}
	a.done = true
	if !a.dropped {
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *tooLate) Write(b []byte) (int, error) {
	if !a.done {
		a.WriteHeader(http.StatusOK)
	}
	if a.dropped {
		return len(b), nil
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (a *tooLate) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush implements [http.Flusher], which Vault's streaming endpoints ask for.
func (a *tooLate) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// Vault's answers when the active node has gone since the gate looked: status 500 when it
// passes the request on, and 503 without Retry-After when it redirects the client.
const (
	noActiveNode     = "local node not active but active cluster node not found"
	noActiveInstance = "no active Vault instance found"
)

// noForwardingHeader is how a client asks to be redirected.
const noForwardingHeader = "X-Vault-No-Request-Forwarding"

// passOn serves a request on a node that is not active.
func (g *Gate) passOn(w http.ResponseWriter, r *http.Request, next http.Handler, l Listener) {
	told := r.URL.Path == healthPath || r.URL.Path == leaderPath
	if r.Header.Get("Upgrade") != "" || onThisNode(r.URL.Path) && !told {
		next.ServeHTTP(w, r)
		return
	}
	// Vault has the whole answer of the active node before it answers.
	whole := answer.Hold(w)
	next.ServeHTTP(whole, r)
	failed := whole.Status == http.StatusInternalServerError ||
		!told && (whole.Status > http.StatusInternalServerError || whole.Status == http.StatusTemporaryRedirect)
	// The active node was there a moment ago, or was never reached, or has other keys
	// now, so that its records cannot be read here. What this node knows is better than
	// nothing.
	if failed && g.answered(w, r, l) {
		return
	}
	if whole.Says(http.StatusInternalServerError, noActiveNode) ||
		whole.Says(http.StatusServiceUnavailable, noActiveInstance) ||
		whole.Status == http.StatusTemporaryRedirect && !redirects(r) {
		// Vault's client follows one redirect and takes a second one for success. While the
		// active node changes there may be two. The client would believe that a lost write
		// was done.
		w.Header().Del("Location")
		refuse(w, leaderlessText)
		return
	}
	whole.Send(w, whole.Body.Bytes())
}

// redirects says whether a client is to be sent to the active node: one that asks for it, and one that reads what
// Vault does not pass on, such as a snapshot.
func redirects(r *http.Request) bool {
	return r.Header.Get(noForwardingHeader) != "" || r.Method == http.MethodGet && isStream(r.URL.Path)
}
