// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
)

// rule says what a DR secondary does with a path.
type rule struct {
	methods []string
	// token: a dr_operation_token has to be in the request and is checked here.
	token bool
	// outside: the core cannot serve it here, for it would ask for a token of its own.
	outside bool
	// rootOnly: refused inside a namespace.
	rootOnly bool
	// state: tells of the node or of replication, or opens the node. A performance
	// secondary that is bootstrapping serves these alone.
	state bool
}

var (
	read  = []string{http.MethodGet}
	probe = []string{http.MethodGet, http.MethodHead}
	write = []string{http.MethodPost, http.MethodPut}
)

const (
	publicKeyPath = "/v1/sys/replication/dr/secondary/generate-public-key"
	snapshotPath  = "/v1/sys/storage/raft/snapshot"
)

// rules is the whole of what a DR secondary serves, apart from the user interface's files
// and what the listener's configuration opens.
//
// Left out on purpose: generate-root and rekey, because the token store behind them is not
// built on a DR secondary; seal and step-down, because nothing here can check the token
// that they need (stop the process instead); storage/raft/join, because a node that joins
// is still sealed, and sealed nodes are not gated; init by PUT.
var rules = map[string]rule{
	// Node state: Vault answers these without a token on any node.
	"/v1/sys/health":                    {methods: probe, state: true},
	"/v1/sys/leader":                    {methods: read, state: true},
	"/v1/sys/seal-status":               {methods: read, state: true},
	"/v1/sys/seal-backend-status":       {methods: read, state: true},
	"/v1/sys/init":                      {methods: read, state: true},
	"/v1/sys/unseal":                    {methods: write, state: true},
	"/v1/sys/internal/ui/feature-flags": {methods: read, state: true},
	// It decodes with what the client sends and reads nothing.
	"/v1/sys/decode-token": {methods: write},
	// New raft nodes prove that they have the seal's key.
	"/v1/sys/storage/raft/bootstrap/challenge": {methods: write, state: true},
	"/v1/sys/storage/raft/bootstrap/answer":    {methods: write, state: true},

	"/v1/sys/replication/status":             {methods: read, rootOnly: true, state: true},
	"/v1/sys/replication/dr/status":          {methods: read, rootOnly: true, state: true},
	"/v1/sys/replication/performance/status": {methods: read, rootOnly: true, state: true},
	// These check the dr_operation_token themselves, in the core.
	"/v1/sys/replication/dr/secondary/promote":                {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/disable":                {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/recover":                {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/reindex":                {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/merkle-check":           {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/update-primary":         {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/kept/list":              {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/kept/read":              {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/kept/remove":            {methods: write, rootOnly: true},
	"/v1/sys/replication/dr/secondary/operation-token/delete": {methods: write, rootOnly: true},
	publicKeyPath: {methods: write, outside: true, rootOnly: true},

	operationtoken.AttemptPath: {methods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		rootOnly: true},
	operationtoken.UpdatePath: {methods: write, rootOnly: true},

	"/v1/sys/storage/raft/configuration":   {methods: write, token: true, rootOnly: true},
	"/v1/sys/storage/raft/remove-peer":     {methods: write, token: true, rootOnly: true},
	snapshotPath:                           {methods: read, token: true, outside: true, rootOnly: true},
	"/v1/sys/storage/raft/autopilot/state": {methods: read, token: true, rootOnly: true},
	"/v1/sys/storage/raft/autopilot/configuration": {methods: []string{http.MethodGet, http.MethodPost, http.MethodPut},
		token: true, rootOnly: true},
}

// find returns the rule for a request, and false when a DR secondary refuses it.
func (g *gate) find(r *http.Request) (rule, bool) {
	// RawPath is set when the path is spelled in another way than the usual one.
	if r.URL.RawPath != "" || r.URL.Opaque != "" {
		return rule{}, false
	}
	p := r.URL.Path
	found, ok := rules[p]
	if !ok {
		found, ok = g.configured(p)
	}
	if !ok {
		return rule{}, false
	}
	// A backend answers a request for help, and its tokens cannot be checked here.
	if r.URL.RawQuery != "" && r.URL.Query().Has("help") {
		return rule{}, false
	}
	if found.rootOnly && inNamespace(r) {
		return rule{}, false
	}
	if !slices.Contains(found.methods, r.Method) {
		return rule{}, false
	}
	return found, true
}

// configured has the paths that a listener's configuration opens without a
// token, and the files of the user interface.
func (g *gate) configured(p string) (rule, bool) {
	switch {
	case p == "/v1/sys/metrics" && g.UnauthenticatedMetrics,
		p == "/v1/sys/in-flight-req" && g.UnauthenticatedInFlight,
		strings.HasPrefix(p, "/v1/sys/pprof/") && g.UnauthenticatedProfiling && clean(p):
		return rule{methods: read}, true
	case p == "/", p == "/ui", p == "/robots.txt", strings.HasPrefix(p, "/ui/") && clean(p):
		return rule{methods: probe}, true
	}
	return rule{}, false
}

func clean(p string) bool { return path.Clean(p) == strings.TrimSuffix(p, "/") }

func inNamespace(r *http.Request) bool {
	for _, ns := range r.Header.Values("X-Vault-Namespace") {
		if ns = strings.Trim(ns, "/"); ns != "" && ns != "root" {
			return true
		}
	}
	return false
}
