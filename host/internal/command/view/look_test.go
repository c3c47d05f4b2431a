// SPDX-License-Identifier: MPL-2.0

package view_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// fake is a server that answers what an operator asks.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	dr     view.Mode
	active string
	sealed bool
	tokens []string
}

func newFake(t *testing.T) *fake {
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tokens = append(f.tokens, r.Header.Get("X-Vault-Token"))
		var answer any
		switch r.URL.Path {
		case "/v1/sys/health":
			answer = map[string]any{"cluster_name": "of " + f.URL, "sealed": f.sealed}
		case "/v1/sys/leader":
			answer = map[string]any{"leader_address": f.active}
		case "/v1/sys/replication/status":
			answer = map[string]any{"data": map[string]any{"dr": f.dr, "performance": view.Mode{Role: view.Disabled}}}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(f.Close)
	f.active = f.URL
	return f
}

// connect makes a client. It has a token if the caller gave the address.
func connect(address string, given bool) (*api.Client, error) {
	cfg := api.DefaultConfig()
	cfg.Address = address
	c, err := api.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	c.SetMaxRetries(0)
	c.SetToken("")
	if given {
		c.SetToken("mine")
	}
	return c, nil
}

// What only another cluster has named is asked too, and never with the caller's token.
func TestLookFollowsNamesWithoutTheToken(t *testing.T) {
	t.Parallel()
	a, b := newFake(t), newFake(t)
	a.dr = view.Mode{Role: view.Primary, LastDRWAL: 1<<53 + 1, Secondaries: []view.Peer{{APIAddress: b.URL}}}
	b.dr = view.Mode{Role: view.Secondary, Primaries: []view.Peer{{APIAddress: a.URL}}}
	seen := view.Look(t.Context(), connect, a.URL+"/")
	require.Len(t, seen, 2)
	require.Equal(t, uint64(1<<53+1), seen[0].DR.LastWAL())
	require.Equal(t, view.Secondary, seen[1].DR.Role)
	require.Contains(t, a.tokens, "mine")
	require.NotEmpty(t, b.tokens)
	require.NotContains(t, b.tokens, "mine")
}

// A cluster that is reached by two addresses, one of them a load balancer's, is listed once.
func TestLookListsAClusterOnce(t *testing.T) {
	t.Parallel()
	a, balancer := newFake(t), newFake(t)
	balancer.active, balancer.dr = a.URL, view.Mode{Role: view.Secondary, Primaries: []view.Peer{{APIAddress: a.URL}}}
	require.Len(t, view.Look(t.Context(), connect, balancer.URL, a.URL), 1)
	require.Len(t, view.Look(t.Context(), connect, balancer.URL), 1)
}

func TestAskSaysWhatItCannotAsk(t *testing.T) {
	t.Parallel()
	a, dead := newFake(t), newFake(t)
	dead.Close()
	a.sealed = true
	seen := view.Look(t.Context(), connect, a.URL, dead.URL)
	require.True(t, seen[0].Sealed)
	require.Contains(t, seen[1].Error, "connection refused")
	require.NotContains(t, seen[1].Error, "http://", "the address stands beside it")
}
