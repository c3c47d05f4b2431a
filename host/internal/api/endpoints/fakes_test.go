// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// stubPatterns are the paths that Vault registers without an implementation.
var stubPatterns = []string{
	"replication/performance/primary/enable", "replication/dr/primary/enable", "replication/performance/primary/demote",
	"replication/dr/primary/demote", "replication/performance/primary/disable", "replication/dr/primary/disable",
	"replication/performance/primary/secondary-token", "replication/dr/primary/secondary-token",
	"replication/performance/primary/revoke-secondary", "replication/dr/primary/revoke-secondary",
	"replication/performance/secondary/generate-public-key", "replication/dr/secondary/generate-public-key",
	"replication/performance/secondary/enable", "replication/dr/secondary/enable",
	"replication/performance/secondary/promote",
	"replication/dr/secondary/promote", "replication/performance/secondary/disable", "replication/dr/secondary/disable",
	"replication/dr/secondary/operation-token/delete", "replication/performance/secondary/update-primary",
	"replication/dr/secondary/update-primary", "replication/recover", "replication/dr/secondary/recover",
	"replication/dr/secondary/reindex", "replication/reindex", "replication/primary/enable",
	"replication/secondary/promote",
	"replication/primary/demote", "replication/primary/disable", "replication/primary/secondary-token",
	"replication/primary/revoke-secondary",
	"replication/secondary/enable", "replication/secondary/disable", "replication/secondary/update-primary",
}

// filterPatterns take the name of a secondary.
var filterPatterns = []string{
	"replication/performance/primary/paths-filter/" + framework.GenericNameRegex("id"),
	"replication/performance/primary/dynamic-filter/" + framework.GenericNameRegex("id"),
	"replication/performance/secondary/dynamic-filter/" + framework.GenericNameRegex("id"),
}

var readPatterns = []string{"replication/status", "replication/dr/status", "replication/performance/status",
	"replication/dr/secondary/license/status"}

func stub(pattern string, ops ...logical.Operation) *framework.Path {
	p := &framework.Path{
		Pattern: pattern, Fields: map[string]*framework.FieldSchema{},
		Operations:   map[logical.Operation]framework.OperationHandler{},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: "enterprise-stub"},
	}
	for _, op := range ops {
		p.Operations[op] = &framework.PathOperation{
			ForwardPerformanceStandby: true,
			Callback: func(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
				return &logical.Response{Data: map[string]any{"stock": req.Path}}, nil
			},
		}
	}
	return p
}

// systemBackend is like Vault's, as far as it matters here.
func systemBackend() *framework.Backend {
	b := &framework.Backend{}
	for _, pattern := range stubPatterns {
		b.Paths = append(b.Paths, stub(pattern, logical.UpdateOperation))
	}
	for _, pattern := range readPatterns {
		b.Paths = append(b.Paths, stub(pattern, logical.ReadOperation))
	}
	for _, pattern := range filterPatterns {
		b.Paths = append(b.Paths, stub(pattern, logical.ReadOperation, logical.UpdateOperation, logical.DeleteOperation))
	}
	b.Paths = append(b.Paths,
		stub("plugins/catalog/(?P<type>auth|database|secret)/?$", logical.ListOperation),
		stub("plugins/catalog/?$", logical.ReadOperation),
		stub("plugins/catalog(/(?P<type>auth|database|secret))?/(?P<name>.+)", logical.ReadOperation, logical.UpdateOperation,
			logical.DeleteOperation),
		stub("plugins/reload/(?P<type>auth|database|secret|unknown)/"+framework.GenericNameRegex("name")+"$",
			logical.UpdateOperation),
		stub("storage/raft/configuration", logical.ReadOperation, logical.UpdateOperation),
		stub("storage/raft/remove-peer", logical.UpdateOperation),
		stub("storage/raft/autopilot/state", logical.ReadOperation),
		stub("storage/raft/autopilot/configuration", logical.ReadOperation, logical.UpdateOperation),
	)
	return b
}

// fakeController records what it was asked for.
type fakeController struct {
	roles   map[replication.Mode]replication.Role
	status  *ModeStatus
	err     error
	calls   []string
	token   replication.SecondaryTokenRequest
	promote PromoteRequest
	update  UpdatePrimaryRequest
	joined  *activation.Payload
	keep    bool
	filters map[string]filter.Rule

	bootstrapping bool
}

func (c *fakeController) did(name string) ([]string, error) {
	c.calls = append(c.calls, name)
	if c.err != nil {
		return nil, c.err
	}
	return []string{"more about " + name}, nil
}

func (c *fakeController) Role(mode replication.Mode) replication.Role { return c.roles[mode] }

// Inert is also true of a performance secondary whose first copy has not ended.
func (c *fakeController) Inert() bool {
	return c.roles[replication.DR] == replication.Secondary || c.bootstrapping
}

func (c *fakeController) Status(_ context.Context, mode replication.Mode) (*ModeStatus, error) {
	if mode == replication.DR {
		return c.status, c.err
	}
	return &ModeStatus{Role: c.roles[mode]}, c.err
}

func (c *fakeController) EnablePrimary(context.Context, replication.Mode, replication.EnablePrimaryRequest) ([]string,
	error) {
	return c.did("enable-primary")
}

func (c *fakeController) DemotePrimary(context.Context, replication.Mode) ([]string, error) {
	return c.did("demote")
}

func (c *fakeController) DisablePrimary(context.Context, replication.Mode) ([]string, error) {
	return c.did("disable-primary")
}

func (c *fakeController) SecondaryToken(_ context.Context, _ replication.Mode, req replication.SecondaryTokenRequest) (
	*activation.Payload, []string, error) {
	c.token = req
	warnings, err := c.did("secondary-token")
	return &activation.Payload{ClusterID: "set", Bundle: []byte("bundle"), PairingKey: make([]byte, 32)}, warnings, err
}

func (c *fakeController) RevokeSecondary(context.Context, replication.Mode, replication.RevokeSecondaryRequest) (
	[]string, error) {
	_, err := c.did("revoke")
	return nil, err
}

func (c *fakeController) EnableSecondary(_ context.Context, _ replication.Mode, p *activation.Payload, keep bool) (
	[]string, error) {
	c.joined, c.keep = p, keep
	return c.did("enable-secondary")
}

func (c *fakeController) PromoteSecondary(_ context.Context, _ replication.Mode, req PromoteRequest) ([]string, error) {
	c.promote = req
	return c.did("promote")
}

func (c *fakeController) DisableSecondary(context.Context, replication.Mode, Consume) ([]string, error) {
	return c.did("disable-secondary")
}

func (c *fakeController) UpdatePrimary(_ context.Context, _ replication.Mode, req UpdatePrimaryRequest) ([]string,
	error) {
	c.update = req
	return c.did("update-primary")
}

func (c *fakeController) GeneratePublicKey(_ context.Context, mode replication.Mode) (string, error) {
	_, err := c.did("generate-public-key-" + string(mode))
	return "public", err
}

func (c *fakeController) OpenActivation(_ context.Context, mode replication.Mode, token string) (*activation.Payload,
	error) {
	if _, err := c.did("open-" + token); err != nil {
		return nil, err
	}
	return &activation.Payload{ID: "dr-b", Mode: mode}, nil
}

func (c *fakeController) Reindex(_ context.Context, mode replication.Mode, forget bool) error {
	_, err := c.did(fmt.Sprintf("reindex-%s-%t", mode, forget))
	return err
}

func (c *fakeController) CheckIndex(_ context.Context, mode replication.Mode) (*IndexReport, error) {
	_, err := c.did("check-" + string(mode))
	return &IndexReport{Root: replication.Fingerprint{1}, Wrong: true, Ranges: []int{3}}, err
}

func (c *fakeController) Recover(_ context.Context, mode replication.Mode) ([]string, error) {
	return c.did("recover-" + string(mode))
}

func (c *fakeController) PathsFilter(_ context.Context, id string) (*filter.Rule, error) {
	if f, ok := c.filters[id]; ok {
		return &f, nil
	}
	return nil, c.err
}

func (c *fakeController) SetPathsFilter(_ context.Context, id string, f filter.Rule) error {
	if c.err == nil {
		c.filters[id] = f
	}
	return c.err
}

func (c *fakeController) DeletePathsFilter(_ context.Context, id string) error {
	delete(c.filters, id)
	return c.err
}

func (c *fakeController) DynamicFilter(_ context.Context, id string) ([]string, error) {
	return c.filters[id].Paths, c.err
}

// fakeTokens knows one generated and one batch token.
type fakeTokens struct {
	paths    []string
	consumed []string
}

func (f *fakeTokens) Allow(ctx context.Context, token string, use *logical.Request) error {
	if !operationtoken.InsideCore(ctx) {
		return replication.Errorf(replication.Internal, "the state lock would be taken twice")
	}
	f.paths = append(f.paths, use.Path)
	if token == "dro.good" || token == "hvb.good" {
		return nil
	}
	return replication.Errorf(replication.Denied, "wrong token")
}

func (f *fakeTokens) Consume(_ context.Context, token string) error {
	f.consumed = append(f.consumed, token)
	return nil
}

// fakeActivations gives a payload, or an error.
type fakeActivations struct {
	requests []activation.Request
	spent    bool
	err      error
}

func (f *fakeActivations) Fetch(_ context.Context, req activation.Request) (*activation.Payload, []string, bool,
	error) {
	f.requests = append(f.requests, req)
	if f.err != nil {
		return nil, nil, f.spent, f.err
	}
	return &activation.Payload{ID: "dr-b", Mode: req.Mode}, []string{"about the address"}, true, nil
}

// fixture is a decorated backend of a cluster with a role.
type fixture struct {
	*framework.Backend
	controller  *fakeController
	tokens      *fakeTokens
	activations *fakeActivations
	catalog     *fakeCatalog
	// token comes with each request.
	token string
}

const (
	// reader is a token that may read the status.
	reader = "reader"
	// lister is one that may list the mounts too.
	lister = "lister"
)

func decorated(t *testing.T, dr replication.Role) *fixture {
	f := &fixture{
		Backend: systemBackend(),
		controller: &fakeController{roles: map[replication.Mode]replication.Role{replication.DR: dr},
			filters: map[string]filter.Rule{}},
		tokens:      new(fakeTokens),
		activations: new(fakeActivations),
		catalog:     &fakeCatalog{plugins: map[string]Plugin{}},
		token:       reader,
	}
	require.NoError(t, Decorate(f.Backend, Options{Controller: f.controller, Primary: f.controller,
		Secondary: f.controller, Filters: f.controller, Kept: fakeKept{f.controller}, Tokens: f.tokens,
		Activations: f.activations, Catalog: f.catalog, MayRead: f.mayRead, Behind: f.behind}))
	return f
}

// mayRead is the core's answer about a token.
func (f *fixture) mayRead(_ context.Context, req *logical.Request) bool {
	return req.ClientToken == lister || req.ClientToken == reader && strings.HasPrefix(req.Path, "replication/")
}

// behind knows one slot.
func (f *fixture) behind(_ context.Context, _ replication.Mode, id string) (*Behind, error) {
	if id != "dr-b" {
		return nil, replication.Errorf(replication.NotFound, "no slot")
	}
	return &Behind{Changes: map[string]int{"secret/": 2, "auth/approle/": 1, "": 3}, All: true}, nil
}

// do sends a request as the core would, and returns what HTTP would answer.
func (f *fixture) do(_ *testing.T, op logical.Operation, path string, data map[string]any) (*logical.Response, int,
	error) {
	req := &logical.Request{Operation: op, Path: path, Data: data, ClientToken: f.token}
	resp, err := f.HandleRequest(context.Background(), req)
	status := http.StatusOK
	if code, _ := logical.RespondErrorCommon(req, resp, err); code != 0 {
		status = code
		logical.AdjustErrorStatusCode(&status, err)
	}
	return resp, status, err
}

func (f *fixture) update(t *testing.T, path string, data map[string]any) (*logical.Response, int, error) {
	return f.do(t, logical.UpdateOperation, path, data)
}

// fakeKept has what two values of an engine and a policy become.
type fakeKept struct{ *fakeController }

var keptFile = KeptFile{ID: "dr-1", Mode: replication.DR, Exact: true, Values: 3,
	Places: []KeptPlace{{Place: "secret/", Values: 2}, {Place: "sys/policies/acl/", Values: 1}}}

func (k fakeKept) List(context.Context) ([]KeptFile, error) { return []KeptFile{keptFile}, k.err }

func (k fakeKept) NotKept(context.Context) ([]KeptFile, error) {
	return []KeptFile{{Mode: replication.DR, Exact: true, Values: 1,
		Places: []KeptPlace{{Place: "kv/", Values: 1}}}}, k.err
}

func (k fakeKept) Get(_ context.Context, id string) (*KeptFile, error) {
	if id != keptFile.ID {
		return nil, replication.Errorf(replication.NotFound, "no values are kept under the id %q", id)
	}
	return &keptFile, k.err
}

func (k fakeKept) Read(_ context.Context, _ string, skip, limit int) ([]KeptValue, error) {
	all := []KeptValue{
		{Key: []byte("logical/u/a"), Place: "secret/", Value: []byte(`{"v":"1"}`)},
		{Key: []byte("logical/u/b"), Place: "secret/", Deleted: true},
		{Key: []byte("sys/policy/p"), Place: "sys/policies/acl/", Value: append([]byte{0x0a, 20}, `{"v":"twenty bytes"}`...)},
	}
	return all[min(skip, len(all)):min(skip+limit, len(all))], k.err
}

func (k fakeKept) Remove(_ context.Context, id string) error {
	_, err := k.did("remove-" + id)
	return err
}
