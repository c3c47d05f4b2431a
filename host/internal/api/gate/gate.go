// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
)

// internalPrefix begins the names of headers that only this product sets. The gate removes
// a client's on every way in.
const internalPrefix = "X-Vault-Replication-"

const (
	refusedText       = "path disabled in replication DR secondary mode"
	bootstrappingText = "this performance secondary is bootstrapping: it serves as soon as its first copy of the " +
		"primary has ended; see sys/replication/performance/status"
	namespaceText = "the endpoints of replication are served in the root namespace alone: leave out X-Vault-Namespace"
	notDRSecText  = "DR operation tokens can be generated on a DR secondary only, and this cluster is none"
)

// State is what a node is at a moment.
type State struct {
	Sealed bool
	// DRSecondary is the cluster's role, on standbys too; it must be set before
	// the first request can be served after an unseal.
	DRSecondary bool
	// Bootstrapping says that the cluster is a performance secondary whose first
	// copy has not ended: it serves the state of the node and nothing else.
	Bootstrapping bool
	// Active is true on the active node, and on a node without high
	// availability.
	Active bool
}

// Node tells the state. It is asked for every request and for every read of a
// request's body: it must neither block nor take a lock that a request holds.
type Node interface {
	State() State
}

// Tokens checks DR operation tokens, as operationtoken.Verifier does.
type Tokens interface {
	// Allow returns nil when the token may be used for the request, which
	// operationtoken.Use has made.
	Allow(ctx context.Context, token string, use *logical.Request) error
}

// Options configure a gate.
type Options struct {
	// Node must be set.
	Node Node
	// Tokens checks dr_operation_token for raft administration. Nil refuses it.
	Tokens Tokens
	// OperationTokens serves generate-operation-token on the active node of a DR
	// secondary (operationtoken.Handler, with auditing around it if wanted). Nil
	// refuses it.
	OperationTokens http.Handler
	// Operator serves endpoints of replication on the active node of a cluster that knows no tokens,
	// outside of the core (endpoints.WithoutCore). It checks the DR operation token in the body. Nil
	// refuses them.
	Operator http.Handler
	// Snapshot writes a snapshot of raft storage. Nil refuses it.
	Snapshot http.Handler
	// Forward gets, on a standby, what these two serve on the active node;
	// nil means Vault's handler, which forwards every path below /v1/sys/ that it
	// does not know.
	Forward http.Handler
	// Logger has a line for each operation of a DR secondary. Nil writes none.
	Logger hclog.Logger
	// What the listener's configuration opens without a token: the telemetry,
	// profiling and inflight_requests_logging stanzas. False on the cluster port.
	UnauthenticatedMetrics, UnauthenticatedProfiling, UnauthenticatedInFlight bool
}

type gate struct {
	Options
	next http.Handler
}

// Wrap puts a gate in front of Vault's handler. Each listener has its own, as
// does the cluster port.
func Wrap(next http.Handler, o Options) http.Handler {
	o.Logger = cmp.Or(o.Logger, hclog.NewNullLogger())
	o.Forward = cmp.Or(o.Forward, next)
	return &gate{Options: o, next: next}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name := range r.Header {
		if len(name) > len(internalPrefix) && strings.EqualFold(name[:len(internalPrefix)], internalPrefix) {
			delete(r.Header, name)
		}
	}
	state := g.Node.State()
	switch {
	case state.Sealed, !state.DRSecondary && !state.Bootstrapping:
		g.serveOpen(w, r, state)
		return
	case state.Bootstrapping:
		g.serveBootstrapping(w, r, state)
		return
	}
	found, ok := g.find(r)
	if ok {
		disarm(r, found)
	}
	switch {
	case !ok:
		answer.Refuse(w, http.StatusBadRequest, refusedText)
	case r.URL.Path == operationtoken.AttemptPath, r.URL.Path == operationtoken.UpdatePath:
		g.serveOperationTokens(w, r, state)
	case state.Active && operates(r, found):
		g.logged(w, r, func(w http.ResponseWriter, r *http.Request) { g.pass(w, r, found, state) })
	default:
		g.pass(w, r, found, state)
	}
}

// pass hands on what a DR secondary serves.
func (g *gate) pass(w http.ResponseWriter, r *http.Request, found rule, state State) {
	if found.token && state.Active {
		var ok bool
		if r, ok = g.authorize(w, r); !ok {
			return
		}
	}
	if found.outside && state.Active {
		g.serveOutside(w, r)
		return
	}
	if r.URL.Path == healthPath && !state.Active {
		r = standbyOfADRSecondary(r)
	}
	g.next.ServeHTTP(w, r)
}

// standbyOfADRSecondary asks for the health of a standby with the status of a DR secondary. Vault
// takes the role from the heartbeats of the active node, and there are none yet, or none any more.
func standbyOfADRSecondary(r *http.Request) *http.Request {
	query := r.URL.Query()
	code := strconv.Itoa(statusDRSecondary)
	if query.Has(drSecondaryCode) {
		code = query.Get(drSecondaryCode)
	}
	query.Del(standbyOK)
	query.Set(standbyCode, code)
	r = r.Clone(r.Context())
	r.URL.RawQuery = query.Encode()
	return r
}

// serveOutside serves what the core cannot.
func (g *gate) serveOutside(w http.ResponseWriter, r *http.Request) {
	next := g.Operator
	if r.URL.Path == snapshotPath {
		next = g.Snapshot
	}
	if next == nil {
		answer.Refuse(w, http.StatusBadRequest, refusedText)
		return
	}
	next.ServeHTTP(w, r)
}

// disarm removes what would make the core do more than answer. A wrapped answer needs a
// token and a lease, which a DR secondary cannot write. A token would be looked up in a
// store that is not complete.
func disarm(r *http.Request, found rule) {
	for _, name := range []string{"X-Vault-Wrap-Ttl", "X-Vault-Wrap-Format", "X-Vault-Mfa", "X-Vault-Policy-Override"} {
		r.Header.Del(name)
	}
	if !found.token {
		r.Header.Del("X-Vault-Token")
		r.Header.Del("Authorization")
	}
}

// serveOpen is for nodes that are sealed or no DR secondary.
func (g *gate) serveOpen(w http.ResponseWriter, r *http.Request, state State) {
	isToken := r.URL.Path == operationtoken.AttemptPath || r.URL.Path == operationtoken.UpdatePath
	if isToken && !state.Sealed {
		answer.Refuse(w, http.StatusBadRequest, notDRSecText)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/v1/sys/replication/") && inNamespace(r) {
		answer.Refuse(w, http.StatusBadRequest, namespaceText)
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		// A client that sends its body slowly must not carry a request over the moment in
		// which the node becomes a DR secondary (an unseal, a demotion).
		if found, ok := g.find(r); !ok || found.token {
			r.Body = &guardedBody{ReadCloser: r.Body, node: g.Node}
		}
	}
	g.next.ServeHTTP(w, r)
}

func (g *gate) serveOperationTokens(w http.ResponseWriter, r *http.Request, state State) {
	switch {
	case !state.Active:
		g.Forward.ServeHTTP(w, r)
	case g.OperationTokens == nil:
		answer.Refuse(w, http.StatusBadRequest, refusedText)
	default:
		g.OperationTokens.ServeHTTP(w, r)
	}
}
