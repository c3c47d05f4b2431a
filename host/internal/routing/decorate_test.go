// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// stub is a backend with the patterns of a core backend, as a performance
// secondary sees it.
func stub(t *testing.T, paths ...*framework.Path) *framework.Backend {
	t.Helper()
	b := &framework.Backend{Paths: paths}
	view := logical.TestSystemView()
	view.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	require.NoError(t, b.Setup(context.Background(), &logical.BackendConfig{System: view}))
	return b
}

func path(pattern string, fn framework.OperationFunc, ops ...logical.Operation) *framework.Path {
	p := &framework.Path{Pattern: pattern, TakesArbitraryInput: true,
		Operations: map[logical.Operation]framework.OperationHandler{}}
	p.Fields = map[string]*framework.FieldSchema{"name": {Type: framework.TypeString},
		"path": {Type: framework.TypeString}, "id": {Type: framework.TypeString},
		"migration_id": {Type: framework.TypeString}}
	for _, op := range ops {
		p.Operations[op] = &framework.PathOperation{Callback: fn, ForwardPerformanceSecondary: true}
	}
	return p
}

// locals has one mount and one alias of its own.
type locals struct{}

func (locals) LocalMount(path string) bool  { return path == "mine/" }
func (locals) LocalAlias(id, _ string) bool { return id == "here" }
func (locals) LocalClash(into string, from, _ []string) string {
	if into == "to" && slices.Contains(from, "clashes") {
		return "there are a and b"
	}
	return ""
}

// A merge that would lose an alias of a local mount is not sent to the primary.
func TestMergeThatClashesIsRefused(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]int{"clashes": 0, "other,clashes": 0, "other": 1} {
		p := &primary{answer: remote("primary")}
		merge := path(`entity/merge/?$`, func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response,
			error) {
			return nil, errors.New("the handler of a secondary was asked")
		}, logical.UpdateOperation)
		merge.Fields = map[string]*framework.FieldSchema{"to_entity_id": {Type: framework.TypeString},
			"from_entity_ids": {Type: framework.TypeCommaStringSlice}}
		b := stub(t, merge)
		_, err := DecorateForward(b, vaultname.Identity, p, locals{})
		require.NoError(t, err)
		_, err = b.HandleRequest(context.Background(), &logical.Request{Operation: logical.UpdateOperation,
			Path: "entity/merge", Data: map[string]any{"to_entity_id": "to", "from_entity_ids": from}})
		if want == 0 {
			require.ErrorContains(t, err, "there are a and b", from)
		} else {
			require.NoError(t, err, from)
		}
		require.Len(t, p.got, want, from)
	}
}

func TestDecorateForward(t *testing.T) {
	t.Parallel()
	answers := func(resp *logical.Response, err error) framework.OperationFunc {
		return func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return resp, err
		}
	}
	stock, _ := here()
	swallow := func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		refusal.Note(ctx)
		return here()
	}
	reworded := func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		refusal.Note(ctx)
		return nil, errors.New("operation could not be completed as storage is read-only")
	}
	own := locals{}
	tests := map[string]struct {
		kind, pattern, path string
		op                  logical.Operation
		fn                  framework.OperationFunc
		forwards            bool
		err                 string
	}{
		"flagged, at once": {vaultname.Identity, "group$", "group", logical.UpdateOperation, answers(stock, nil),
			true, ""},
		"policy": {vaultname.System, "policy/(?P<name>.+)", "policy/p", logical.UpdateOperation,
			answers(stock, nil), true, ""},
		"token role": {vaultname.Token, `roles/(?P<role_name>\w(([\w-.]+)?\w)?)`, "roles/r",
			logical.DeleteOperation, answers(stock, nil), true, ""},
		"alias of a local mount": {vaultname.Identity, "entity-alias/id/(?P<id>\\w(([\\w-.]+)?\\w)?)",
			"entity-alias/id/here", logical.DeleteOperation, answers(stock, nil), false, ""},
		"local alias gone shared": {vaultname.Identity, "entity-alias/id/(?P<id>\\w(([\\w-.]+)?\\w)?)",
			"entity-alias/id/here", logical.UpdateOperation, answers(nil, logical.ErrReadOnly), true, ""},
		"alias": {vaultname.Identity, "entity-alias/id/(?P<id>\\w(([\\w-.]+)?\\w)?)",
			"entity-alias/id/there", logical.DeleteOperation, answers(stock, nil), true, ""},
		"local mount": {vaultname.System, "mounts/(?P<path>.+?)", "mounts/x", logical.UpdateOperation,
			answers(stock, nil), false, ""},
		"replicated mount": {vaultname.System, "mounts/(?P<path>.+?)", "mounts/x", logical.UpdateOperation,
			answers(nil, logical.ErrReadOnly), true, ""},
		"swallowed": {vaultname.System, "mounts/(?P<path>.+?)", "mounts/x", logical.UpdateOperation, swallow,
			true, ""},
		"swallowed, local tune": {vaultname.System, "mounts/(?P<path>.+?)/tune", "mounts/mine/tune",
			logical.UpdateOperation, swallow, false, ""},
		"swallowed, other tune": {vaultname.System, "mounts/(?P<path>.+?)/tune", "mounts/x/tune", logical.UpdateOperation,
			swallow, true, ""},
		"reworded, of a local one": {vaultname.System, "mounts/(?P<path>.+?)", "mounts/x", logical.UpdateOperation, reworded,
			false, "could not be completed"},
		"state of a remount": {vaultname.System, "remount/status/(?P<migration_id>.+?)$", "remount/status/x",
			logical.ReadOperation, answers(nil, logical.ErrReadOnly), true, ""},
		"primary's business": {vaultname.System, "rotate/config$", "rotate/config", logical.UpdateOperation,
			answers(stock, nil), false, "send it to the primary"},
		"plugin catalog": {vaultname.System, "plugins/catalog(/(?P<type>auth|database|secret))?/(?P<name>.+)",
			"plugins/catalog/x", logical.UpdateOperation, answers(stock, nil), false, "send it to the primary"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := &primary{answer: remote("primary")}
			b := stub(t, path(tt.pattern, tt.fn, tt.op))
			unnamed, err := DecorateForward(b, tt.kind, p, own)
			require.NoError(t, err)
			require.Empty(t, unnamed)
			resp, err := b.HandleRequest(context.Background(), &logical.Request{Operation: tt.op, Path: tt.path,
				ClientToken: "hvs.root"})
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.Empty(t, p.got)
				return
			}
			require.NoError(t, err)
			if !tt.forwards {
				require.Equal(t, "here", from(resp))
				require.Empty(t, p.got)
				return
			}
			require.Equal(t, "primary", from(resp))
			require.Equal(t, corePrefixes[tt.kind], p.got[0].MountPath)
			require.Equal(t, tt.path, p.got[0].Logical.Path)
			require.Empty(t, p.got[0].Logical.ClientToken, "the core's backends see the token itself")
		})
	}
}

// Each cluster pins its own replication plugins. So the endpoint is not forwarded, though
// it is below that of the shared catalog.
func TestReplicationPluginsAreOfEachCluster(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]Way{
		"plugins/catalog/replication/?$":                                 Local,
		`plugins/catalog/replication/(?P<name>\w(([\w-.]+)?\w)?)$`:       Local,
		"plugins/catalog(/(?P<type>auth|database|secret))?/(?P<name>.+)": OnPrimary,
		"plugins/catalog/?$":                                             OnPrimary,
	} {
		row, ok := rowOf(vaultname.System, pattern)
		require.True(t, ok)
		require.Equal(t, want, row.way(logical.UpdateOperation), pattern)
	}
}

// Vault makes a local auth method and goes on without the default key of OIDC, which
// it could not write: that is no failure, and nothing for the primary.
func TestLocalMountWithoutADefaultKey(t *testing.T) {
	t.Parallel()
	p := &primary{answer: remote("primary")}
	b := stub(t, path("auth/(?P<path>.+)", func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (
		*logical.Response, error) {
		refusal.Note(ctx)
		return here()
	}, logical.UpdateOperation))
	_, err := DecorateForward(b, vaultname.System, p, locals{})
	require.NoError(t, err)
	resp, err := b.HandleRequest(context.Background(), &logical.Request{Operation: logical.UpdateOperation,
		Path: "auth/own", Data: map[string]any{"local": true}})
	require.NoError(t, err)
	require.Equal(t, "here", from(resp))
	require.Empty(t, p.got)
}

// Audit devices: the secondary makes its own. It makes no shared one, neither here nor on
// the primary.
func TestHereOrOnPrimary(t *testing.T) {
	t.Parallel()
	refused := func(resp *logical.Response, err error) framework.OperationFunc {
		return func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
			refusal.Note(ctx)
			return resp, err
		}
	}
	tests := map[string]struct {
		fn   framework.OperationFunc
		data map[string]any
		err  string // the answer of the row if empty
		here bool
	}{
		"its own": {fn: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return here()
		}, here: true},
		"its own, a shared row beside": {fn: func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (
			*logical.Response, error) {
			refusal.Note(ctx)
			return here()
		}, data: map[string]any{"local": true}, here: true},
		"one of the set": {fn: refused(nil, logical.ErrReadOnly)},
		"one of the set, as text": {fn: refused(logical.ErrorResponse(logical.ErrReadOnly.Error()),
			logical.ErrInvalidRequest)},
		"one of the set, swallowed": {fn: refused(&logical.Response{}, nil)},
		"another error":             {fn: refused(nil, errors.New("no such file")), err: "no such file"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := &primary{answer: remote("primary")}
			b := stub(t, path("audit/(?P<path>.+)", tt.fn, logical.UpdateOperation))
			unnamed, err := DecorateForward(b, vaultname.System, p, locals{})
			require.NoError(t, err)
			require.Empty(t, unnamed)
			resp, err := b.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "audit/file",
				Data: tt.data})
			require.Empty(t, p.got, "an audit device never leaves the cluster")
			if tt.here {
				require.NoError(t, err)
				require.Equal(t, "here", from(resp))
				return
			}
			if tt.err == "" {
				tt.err = "send it to the primary"
				var own *logical.ReplicationCodedError
				require.ErrorAs(t, err, &own)
				require.Equal(t, http.StatusBadRequest, own.Code)
			}
			require.ErrorContains(t, err, tt.err)
		})
	}
}

// A lease whose engine could not reach the primary is no mistake of the client's: he is
// told in one sentence, with its status, what Vault puts words around.
func TestLeaseWhoseEngineCannotReachThePrimary(t *testing.T) {
	t.Parallel()
	cut := noAnswer(t.Context(), replication.Errorf(replication.Unreachable, "no session"))
	wrapped := func(err error) framework.OperationFunc {
		return func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return nil, fmt.Errorf("failed to renew entry: %w", err)
		}
	}
	reworded := func(err error) framework.OperationFunc { // as Vault's system backend does it
		return func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return logical.ErrorResponse(fmt.Errorf("failed to revoke entry: resp: (*logical.Response)(nil) err: %w",
				err).Error()), logical.ErrInvalidRequest
		}
	}
	tests := map[string]struct {
		kind, pattern, path string
		fn                  framework.OperationFunc
		status              int
		text                string
	}{
		"renewal": {vaultname.System, "(leases/)?renew(/(?P<url_lease_id>.+))?", "leases/renew",
			reworded(cut), 503, cut.Error()},
		"the older path": {vaultname.System, "(leases/)?renew(/(?P<url_lease_id>.+))?", "renew/x", reworded(cut),
			503, cut.Error()},
		"revocation": {vaultname.System, "(leases/)?revoke(/(?P<url_lease_id>.+))?", "leases/revoke",
			reworded(cut), 503, cut.Error()},
		"of all below a path": {vaultname.System, "(leases/)?revoke-prefix/(?P<prefix>.+)", "leases/revoke-prefix/db",
			reworded(cut), 503, cut.Error()},
		"token": {vaultname.Token, "renew-self$", "renew-self", wrapped(cut), 503, cut.Error()},
		"answer lost": {vaultname.System, "(leases/)?revoke", "leases/revoke",
			reworded(noAnswer(t.Context(), errors.New("cut"))), 409, "could not get its primary's answer"},
		"late": {vaultname.System, "(leases/)?revoke", "leases/revoke", reworded(errLate), 409,
			errLate.Error()},
		"primary was demoted": {vaultname.System, "(leases/)?revoke", "leases/revoke", reworded(errPrimaryReadOnly), 409,
			errPrimaryReadOnly.Error()},
		"primary steps down": {vaultname.System, "(leases/)?revoke", "leases/revoke", reworded(errNotRun), 503,
			"did not carry"},
		"primary has stepped down": {vaultname.System, "(leases/)?revoke", "leases/revoke", reworded(errPerhapsRun), 409,
			"may have carried"},
		"another error": {vaultname.System, "(leases/)?revoke", "leases/revoke",
			reworded(errors.New("no such user")), 400, "no such user"},
		"another error, token": {vaultname.Token, "renew-self$", "renew-self", wrapped(errors.New("no such role")), 500,
			"no such role"},
		"identity cannot be had": {vaultname.Token, "renew$", "renew",
			wrapped(&logical.ReplicationCodedError{Code: 503, Msg: "the entity"}), 503, "the entity"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := path(tt.pattern, tt.fn, logical.UpdateOperation)
			p.Operations[logical.UpdateOperation].(*framework.PathOperation).ForwardPerformanceSecondary = false
			b := stub(t, p)
			_, err := DecorateForward(b, tt.kind, &primary{}, locals{})
			require.NoError(t, err)
			req := &logical.Request{Operation: logical.UpdateOperation, Path: tt.path}
			resp, err := b.HandleRequest(t.Context(), req)
			status, shown := logical.RespondErrorCommon(req, resp, err)
			logical.AdjustErrorStatusCode(&status, shown)
			require.Equal(t, tt.status, status)
			require.ErrorContains(t, shown, tt.text)
			if tt.status == 409 || tt.status == 503 {
				require.NotContains(t, shown.Error(), "failed to", "one sentence")
				require.NotContains(t, shown.Error(), "occurred", "no list")
			}
		})
	}
}

func TestDecorateForwardLeavesTheRest(t *testing.T) {
	t.Parallel()
	p := &primary{answer: remote("primary")}
	fn := func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
		return here()
	}
	legacy := &framework.Path{Pattern: "entity-alias$",
		Callbacks: map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: fn, logical.ReadOperation: fn}}
	unheard := &framework.Path{Pattern: "unheard$",
		Callbacks: map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: fn}}
	b := stub(t, legacy, unheard)
	unnamed, err := DecorateForward(b, vaultname.Identity, p, locals{})
	require.NoError(t, err)
	require.Equal(t, []string{"unheard$"}, unnamed)
	for _, tt := range []struct {
		path string
		op   logical.Operation
		want string
	}{{"entity-alias", logical.UpdateOperation, "primary"}, {"entity-alias", logical.ReadOperation, "here"},
		{"unheard", logical.UpdateOperation, "here"}} {
		resp, err := b.HandleRequest(context.Background(), &logical.Request{Operation: tt.op, Path: tt.path})
		require.NoError(t, err)
		require.Equal(t, tt.want, from(resp), tt)
	}
	_, err = DecorateForward(b, "cubbyhole", p, locals{})
	require.Error(t, err)
}

func TestAfter(t *testing.T) {
	t.Parallel()
	ran := 0
	failed := errors.New("reload failed half way")
	b := stub(t,
		path("plugins/reload/backend$", func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response,
			error) {
			return nil, failed
		}, logical.ReadOperation, logical.UpdateOperation),
		path("other$", func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return nil, nil
		}, logical.UpdateOperation))
	for _, p := range b.Paths {
		for _, h := range p.Operations {
			h.(*framework.PathOperation).ForwardPerformanceSecondary = false
		}
	}
	After(b, []string{"plugins/reload/"}, func() { ran++ })
	_, err := b.HandleRequest(context.Background(), &logical.Request{Operation: logical.ReadOperation,
		Path: "plugins/reload/backend"})
	require.ErrorIs(t, err, failed)
	require.Zero(t, ran, "a read replaces no backend")
	_, err = b.HandleRequest(context.Background(), &logical.Request{Operation: logical.UpdateOperation,
		Path: "plugins/reload/backend"})
	require.ErrorIs(t, err, failed)
	require.Equal(t, 1, ran, "a reload that fails half way has replaced backends too")
	_, err = b.HandleRequest(context.Background(), &logical.Request{Operation: logical.UpdateOperation, Path: "other"})
	require.NoError(t, err)
	require.Equal(t, 1, ran)
}

// What may leave a cluster is what another cluster accepts. The table of what must never
// cross is checked by name.
func TestTableOfCorePaths(t *testing.T) {
	t.Parallel()
	for _, r := range CorePaths {
		require.NotEmpty(t, r.Why, r.Pattern)
		require.NotEmpty(t, corePrefixes[r.Backend], r.Pattern)
		require.False(t, r.Prefix && r.Way > OnPrimary, "%s: a prefix would let paths out that nobody has thought of",
			r.Pattern)
	}
	for _, path := range []string{
		"raw/core/keyring", "seal", "unseal", "step-down", "rekey/init", "rotate", "rotate/config", "generate-root/attempt",
		"init",
		"storage/raft/join", "storage/raft/snapshot", "replication/performance/primary/enable", "plugins/catalog/secret/x",
		"plugins/pins/secret/x",
		"plugins/reload/backend", "plugins/runtimes/catalog/container/x", "leases/revoke", "revoke/x", "wrapping/unwrap",
		"capabilities-self", "internal/counters/config",
		"pprof/heap", "monitor", "events/subscribe/x", "host-info", "in-flight-req", "metrics", "loggers", "mfa/validate",
		"locked-users/x/unlock/y", "something/new", "",
	} {
		for _, op := range append(reading, writing...) {
			require.False(t, mayArrive(vaultname.System, op, path), "%s %s", op, path)
		}
	}
	for _, path := range []string{"create", "create/r", "create-orphan", "lookup", "renew-self", "revoke-self", "tidy",
		"accessors"} {
		require.False(t, mayArrive(vaultname.Token, logical.UpdateOperation, path), path)
	}
	for _, path := range []string{"oidc/token/x", "oidc/provider/p/token", "oidc/introspect", "lookup/entity"} {
		require.False(t, mayArrive(vaultname.Identity, logical.UpdateOperation, path), path)
		require.False(t, mayArrive(vaultname.Identity, logical.ReadOperation, path), path)
	}
	require.True(t, mayArrive(vaultname.System, logical.UpdateOperation, "policy/p"))
	require.False(t, mayArrive(vaultname.System, logical.ReadOperation, "policy/p"))
	require.False(t, mayArrive(vaultname.System, logical.RollbackOperation, "policy/p"))
	require.True(t, mayArrive(vaultname.System, logical.ReadOperation, "remount/status/x"))
	require.True(t, mayArrive(vaultname.Identity, logical.DeleteOperation, "group/name/a/b"))
	require.True(t, mayArrive(vaultname.Token, logical.CreateOperation, "roles/r"))
}
