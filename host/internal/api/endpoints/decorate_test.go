// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestDecorateRefusesAnotherVault(t *testing.T) {
	t.Parallel()
	o := Options{Controller: &fakeController{}, Primary: &fakeController{}, Secondary: &fakeController{},
		Filters: &fakeController{}, Kept: fakeKept{}, Tokens: new(fakeTokens)}
	require.Error(t, Decorate(systemBackend(), Options{}))

	b := systemBackend()
	b.Paths = b.Paths[2:]
	require.ErrorContains(t, Decorate(b, o), "does not register the path sys/replication/dr/primary/enable")
	require.NotNil(t, b.Paths[0].Operations[logical.UpdateOperation])

	b = systemBackend()
	_, err := b.HandleRequest(context.Background(), &logical.Request{Operation: logical.ReadOperation,
		Path: "replication/status"})
	require.NoError(t, err)
	require.ErrorContains(t, Decorate(b, o), "began to serve")
}

func TestNoStubIsLeft(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	f.controller.status = &ModeStatus{Role: replication.Primary}
	for _, pattern := range stubPatterns {
		resp, _, _ := f.update(t, pattern, map[string]any{"id": "a"})
		if resp != nil {
			require.NotContains(t, resp.Data, "stock", pattern)
		}
	}
	_, status, err := f.do(t, logical.ReadOperation, "replication/dr/secondary/license/status", nil)
	require.Equal(t, 400, status)
	require.ErrorContains(t, err, "this endpoint is not available in this version")
	for _, p := range f.Paths {
		require.False(t, strings.HasPrefix(p.Pattern, "^^"))
		for op, h := range p.Operations {
			if strings.HasPrefix(p.Pattern, "^replication/") {
				require.False(t, h.Properties().ForwardPerformanceSecondary, "%s %s", op, p.Pattern)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	resp, err := f.HandleRequest(context.Background(), &logical.Request{Operation: logical.HelpOperation,
		Path: "replication/dr/primary/secondary-token"})
	require.NoError(t, err)
	require.Contains(t, resp.Data["help"], "Register a DR secondary")
	require.Contains(t, resp.Data["help"], "ttl")
}

// A performance secondary whose first copy has not ended has no role in disaster
// recovery, and its core is built as that of a DR secondary.
func TestRaftPathsCheckTheTokenWhereEnginesAreInert(t *testing.T) {
	t.Parallel()
	ops := map[string][]logical.Operation{
		"storage/raft/configuration":           {logical.ReadOperation, logical.UpdateOperation},
		"storage/raft/remove-peer":             {logical.UpdateOperation},
		"storage/raft/autopilot/state":         {logical.ReadOperation},
		"storage/raft/autopilot/configuration": {logical.ReadOperation, logical.UpdateOperation},
	}
	for _, tt := range []struct {
		role          replication.Role
		bootstrapping bool
	}{{replication.Disabled, false}, {replication.Primary, false}, {replication.Secondary, false},
		{replication.Disabled, true}} {
		role := tt.role
		f := decorated(t, role)
		f.controller.bootstrapping = tt.bootstrapping
		for path, list := range ops {
			for _, op := range list {
				resp, status, _ := f.do(t, op, path, nil)
				if role != replication.Secondary && !tt.bootstrapping {
					require.Equal(t, path, resp.Data["stock"], role)
					continue
				}
				require.Equal(t, 403, status, "%s %s %s", role, op, path)
				resp, _, err := f.do(t, op, path, map[string]any{"dr_operation_token": "hvb.good"})
				require.NoError(t, err)
				require.Equal(t, path, resp.Data["stock"])
				require.Equal(t, "sys/"+path, f.tokens.paths[len(f.tokens.paths)-1])
			}
		}
	}
	f := decorated(t, replication.Primary)
	for _, p := range f.Paths {
		if p.Pattern == "storage/raft/autopilot/state" {
			require.True(t, p.Operations[logical.ReadOperation].Properties().ForwardPerformanceStandby, "properties are kept")
			require.Contains(t, p.Fields, "dr_operation_token")
		}
	}
}

// fakeCatalog is a Catalog in memory.
type fakeCatalog struct {
	plugins  map[string]Plugin
	reloaded []string
	err      error
}

func (c *fakeCatalog) List(context.Context) ([]string, error) {
	var names []string
	for name := range c.plugins {
		names = append(names, name)
	}
	return names, c.err
}

func (c *fakeCatalog) Read(_ context.Context, name string) (*Plugin, error) {
	if p, ok := c.plugins[name]; ok {
		return &p, c.err
	}
	return nil, c.err
}

func (c *fakeCatalog) Write(_ context.Context, p Plugin) error {
	c.plugins[p.Name] = p
	return c.err
}

func (c *fakeCatalog) Delete(_ context.Context, name string) error {
	delete(c.plugins, name)
	return c.err
}

func (c *fakeCatalog) Reload(_ context.Context, name string) error {
	c.reloaded = append(c.reloaded, name)
	return c.err
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Disabled)
	const path = "plugins/catalog/replication/replication-dr"
	_, status, _ := f.do(t, logical.ReadOperation, path, nil)
	require.Equal(t, 404, status)
	_, status, _ = f.update(t, path, map[string]any{"command": "x"})
	require.Equal(t, 400, status)
	_, status, err := f.update(t, path, map[string]any{"command": "x", "sha_256": "ab", "args": []string{"-a"},
		"env": []string{"TOKEN=secret"}, "version": "v1"})
	require.Equal(t, 200, status, err)
	require.Equal(t, Plugin{Name: "replication-dr", Command: "x", SHA256: "ab", Args: []string{"-a"},
		Env: []string{"TOKEN=secret"}, Version: "v1"}, f.catalog.plugins["replication-dr"])
	resp, _, _ := f.do(t, logical.ReadOperation, path, nil)
	require.Equal(t, map[string]any{"name": "replication-dr", "command": "x", "sha256": "ab", "args": []string{"-a"},
		"version": "v1", "builtin": false}, resp.Data)
	for _, list := range []string{"plugins/catalog/replication", "plugins/catalog/replication/"} {
		resp, _, _ = f.do(t, logical.ListOperation, list, nil)
		require.Equal(t, []string{"replication-dr"}, resp.Data["keys"], list)
	}
	_, status, _ = f.update(t, "plugins/reload/replication/replication-dr", nil)
	require.Equal(t, 200, status)
	require.Equal(t, []string{"replication-dr"}, f.catalog.reloaded)
	_, status, _ = f.do(t, logical.DeleteOperation, path, nil)
	require.Equal(t, 200, status)
	require.Empty(t, f.catalog.plugins)

	resp, _, _ = f.do(t, logical.ReadOperation, "plugins/catalog/secret/kv", nil)
	require.Equal(t, "plugins/catalog/secret/kv", resp.Data["stock"], "Vault's own catalog is untouched")
	f.catalog.err = replication.Errorf(replication.InvalidInput, "the checksum is wrong")
	_, status, err = f.update(t, path, map[string]any{"command": "x", "sha256": "ab"})
	require.Equal(t, 400, status)
	require.EqualError(t, err, "the checksum is wrong")
}
