// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

func TestLoginAsksOnlyWhenSomethingChanges(t *testing.T) {
	t.Parallel()
	c := newClusters(t)
	steps := []struct {
		name  string
		resp  *logical.Response
		calls int
	}{
		{"first login", login("bob", nil), 1},
		{"again", login("bob", nil), 1},
		{"other case of the name", login("Bob", nil), 1},
		{"metadata", login("bob", map[string]string{"a": "1"}), 2},
		{"same metadata", login("bob", map[string]string{"a": "1"}), 2},
		{"group", login("bob", map[string]string{"a": "1"}, "dev"), 3},
		{"same group twice", login("bob", map[string]string{"a": "1"}, "dev", "dev"), 3},
		{"no alias", &logical.Response{Auth: &logical.Auth{}}, 3},
		{"no auth", &logical.Response{}, 3},
		{"nothing", nil, 3},
	}
	for _, s := range steps {
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, c.AfterAuth(ctx, shared, loginRequest, s.resp), s.name)
		cancel()
		require.Len(t, c.asked(), s.calls, s.name)
	}
	require.Equal(t, 1, c.primary.entities)
}

// shown is the status with which an error reaches a client through the core.
func shown(err error) int {
	req := &logical.Request{Operation: logical.UpdateOperation}
	status, err := logical.RespondErrorCommon(req, nil, multierror.Append(nil, err))
	logical.AdjustErrorStatusCode(&status, err)
	return status
}

func TestLoginWithoutItsEntityIs503(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*clusters){
		"no route":         func(c *clusters) { c.down = errors.New("no route") },
		"the link is slow": func(c *clusters) { c.stuck = errors.New("the link is slow") },
	}
	for name, breakIt := range tests {
		for _, m := range []vaultname.Mount{shared, local} {
			t.Run(fmt.Sprintf("%s/local=%v", name, m.Local), func(t *testing.T) {
				t.Parallel()
				c := newClusters(t)
				breakIt(c)
				err := c.AfterAuth(t.Context(), m, loginRequest, login("bob", nil))
				require.Equal(t, http.StatusServiceUnavailable, shown(err))
				require.Equal(t, http.StatusServiceUnavailable, shown(fmt.Errorf("failed to renew entry: %w", err)),
					"the core wraps what a renewal answers")
				require.ErrorContains(t, err, name)
			})
		}
	}
}

func TestRefusalOfThePrimaryIsNoOutage(t *testing.T) {
	t.Parallel()
	c := newClusters(t)
	err := c.AfterAuth(t.Context(), vaultname.Mount{Accessor: "gone", Type: "userpass"}, loginRequest, login("bob", nil))
	require.ErrorContains(t, err, `no auth mount with accessor "gone"`)
	require.Equal(t, http.StatusBadRequest, shown(err), "a refusal must not look like an outage")
}

// 64 logins of one new alias at once are one question and one entity.
func TestManyLoginsMakeOneEntity(t *testing.T) {
	t.Parallel()
	for _, m := range []vaultname.Mount{shared, local} {
		c := newClusters(t)
		c.hold = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		errs := make(chan error, 64)
		for range 64 {
			wg.Go(func() { errs <- c.AfterAuth(ctx, m, loginRequest, login("bob", nil)) })
		}
		close(c.hold)
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		cancel()
		require.Len(t, c.asked(), 1)
		require.Equal(t, 1, c.primary.entities)
		require.NotEmpty(t, c.secondary.aliases)
	}
}

// Logins of one alias that bring different metadata must not undo each other's
// before the core has looked: while one is under way the other waits.
func TestDifferentMetadataTakesTurns(t *testing.T) {
	t.Parallel()
	c := newClusters(t)
	first, endFirst := context.WithCancel(t.Context())
	defer endFirst()
	require.NoError(t, c.AfterAuth(first, shared, loginRequest, login("bob", map[string]string{"pod": "a"})))

	second, endSecond := context.WithCancel(t.Context())
	defer endSecond()
	done := make(chan error, 1)
	go func() {
		done <- c.AfterAuth(second, shared, loginRequest, login("bob", map[string]string{"pod": "b"}))
	}()
	require.Eventually(t, func() bool {
		c.gate.mu.Lock()
		defer c.gate.mu.Unlock()
		l := c.gate.lanes["acc\x00bob"]
		return l != nil && len(l.queue) == 1
	}, waitLong, waitStep)
	_, same, err := c.secondary.AliasState("acc", "bob", map[string]string{"pod": "a"})
	require.NoError(t, err)
	require.True(t, same, "what the first login made sure of must hold until it ends")

	endFirst()
	require.NoError(t, <-done)
	endSecond()
	require.Eventually(t, func() bool {
		c.gate.mu.Lock()
		defer c.gate.mu.Unlock()
		return len(c.gate.lanes) == 0
	}, waitLong, waitStep)
}

func TestGateGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	var g gate
	in, leave := context.WithCancel(t.Context())
	require.NoError(t, g.enter(in, Ensure{Accessor: "a", Name: "n"}))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.enter(gone, Ensure{Accessor: "a", Name: "n", Groups: []string{"g"}}), context.Canceled)
	leave()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.lanes) == 0
	}, waitLong, waitStep)
}

func TestRenewalLooksAtGroupsOnly(t *testing.T) {
	t.Parallel()
	c := newClusters(t)
	renew := &logical.Request{Operation: logical.RenewOperation, Path: "login/bob"}
	resp := login("bob", map[string]string{"changed": "yes"}, "dev")
	require.NoError(t, c.AfterAuth(t.Context(), shared, renew, resp), "a token without entity")
	require.Empty(t, c.asked())
	resp.Auth.EntityID = "entity-7"
	require.NoError(t, c.AfterAuth(t.Context(), shared, renew, resp))
	require.NoError(t, c.AfterAuth(t.Context(), shared, renew, resp))
	require.Equal(t, []string{KindGroups}, c.asked())
	require.Equal(t, []string{"dev"}, c.primary.groups["entity-7"])
	require.Zero(t, c.primary.entities)
}

func TestLocalMountGetsAnEntityOfThePrimary(t *testing.T) {
	t.Parallel()
	c := newClusters(t)
	for _, metadata := range []map[string]string{nil, nil, {"a": "1"}} {
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, c.AfterAuth(ctx, local, loginRequest, login("bob", metadata)))
		cancel()
	}
	require.Equal(t, []string{KindCreate}, c.asked(), "changed metadata of a local alias is nobody else's business")
	require.Empty(t, c.primary.aliases)
	id, same, err := c.secondary.AliasState("here", "bob", map[string]string{"a": "1"})
	require.NoError(t, err)
	require.True(t, same)
	require.Equal(t, "entity-1", id)
}

func TestWritesFromInside(t *testing.T) {
	t.Parallel()
	c := newClusters(t)
	require.NoError(t, c.ChangeMembers(t.Context(), "g1", []string{"e1"}, nil))
	require.Equal(t, []string{"g1"}, c.primary.groups["e1"])
	require.Empty(t, c.secondary.groups, "the identity store's locks are held: nothing may be waited for")

	stored, err := c.CreateEntity(t.Context())
	require.NoError(t, err)
	require.Equal(t, "entity-1", string(stored))
	require.Eventually(t, func() bool {
		c.secondary.mu.Lock()
		defer c.secondary.mu.Unlock()
		return len(c.secondary.settled) == 1 && c.secondary.settled[0] == "entity-1"
	}, waitLong, waitStep)
}
