// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// primary is a forwarder that keeps what it was given.
type primary struct {
	mu     sync.Mutex
	got    []*wire.Request
	answer *wire.Answer
	err    error
}

func (p *primary) Do(_ context.Context, req *wire.Request) (*wire.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, req)
	return p.answer, p.err
}

func remote(data string) *wire.Answer {
	return &wire.Answer{Response: &logical.Response{Data: map[string]any{"from": data}}}
}

// engine is a backend that does what a test says.
type engine struct {
	framework.Backend
	do func(ctx context.Context, req *logical.Request) (*logical.Response, error)
}

func (e *engine) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	return e.do(ctx, req)
}

var secret = vaultname.Mount{Path: "secret/", Class: "secret", UUID: "u", Accessor: "a", Type: "kv",
	StoragePrefix: "logical/u/"}

func here() (*logical.Response, error) {
	return &logical.Response{Data: map[string]any{"from": "here"}}, nil
}

func from(resp *logical.Response) any {
	if resp == nil {
		return nil
	}
	return resp.Data["from"]
}

func TestHowARefusalIsRecognised(t *testing.T) {
	t.Parallel()
	var counter refusal.Counters
	noted := func(ctx context.Context) { refusal.Note(ctx) }
	tests := map[string]struct {
		op       logical.Operation
		mount    func(*vaultname.Mount)
		do       func(ctx context.Context) (*logical.Response, error)
		forwards bool
	}{
		"the error": {logical.UpdateOperation, nil, func(context.Context) (*logical.Response, error) {
			return nil,
				logical.ErrReadOnly
		}, true},
		"the error on a read": {logical.ReadOperation, nil, func(context.Context) (*logical.Response, error) {
			return nil,
				logical.ErrReadOnly
		}, true},
		"wrapped": {logical.DeleteOperation, nil, func(context.Context) (*logical.Response, error) {
			return nil, fmt.Errorf("put: %w", logical.ErrReadOnly)
		}, true},
		"as text": {logical.RevokeOperation, nil, func(ctx context.Context) (*logical.Response, error) {
			noted(ctx)
			return nil, errors.New("put: " + logical.ErrReadOnly.Error())
		}, true},
		"as text, without the context": {logical.ReadOperation, nil, func(context.Context) (*logical.Response, error) {
			counter.Bump("logical/u/x")
			return nil, errors.New("put: " + logical.ErrReadOnly.Error())
		}, true},
		"as text of a read": {logical.ReadOperation, nil, func(ctx context.Context) (*logical.Response, error) {
			noted(ctx)
			return nil, errors.New("put: " + logical.ErrReadOnly.Error())
		}, true},
		"in an error response": {logical.ReadOperation, nil, func(ctx context.Context) (*logical.Response, error) {
			noted(ctx)
			return logical.ErrorResponse("failed: " + logical.ErrReadOnly.Error()), logical.ErrInvalidRequest
		}, true},
		"in the data": {logical.ReadOperation, nil, func(ctx context.Context) (*logical.Response, error) {
			noted(ctx)
			return &logical.Response{Data: map[string]any{"error": logical.ErrReadOnly.Error(), "more": 1, "data": 2}}, nil
		}, true},
		"text of another server": {logical.UpdateOperation, nil, func(context.Context) (*logical.Response, error) {
			return nil, errors.New("the database says: " + logical.ErrReadOnly.Error())
		}, false},
		"text of another server in a response": {logical.UpdateOperation, nil,
			func(context.Context) (*logical.Response, error) {
				return logical.ErrorResponse("the database says: " + logical.ErrReadOnly.Error()), nil
			}, false},
		"what a client has stored": {logical.ReadOperation, nil, func(context.Context) (*logical.Response, error) {
			return &logical.Response{Data: map[string]any{"error": logical.ErrReadOnly.Error()}}, nil
		}, false},
		"the same, beside a refused write": {logical.ReadOperation, nil, func(context.Context) (*logical.Response, error) {
			counter.Bump("logical/u/x")
			return &logical.Response{Data: map[string]any{"error": logical.ErrReadOnly.Error()}}, nil
		}, false},
		"the text of an external one": {logical.ReadOperation, func(m *vaultname.Mount) { m.External = true },
			func(context.Context) (*logical.Response, error) {
				return nil, errors.New(logical.ErrReadOnly.Error())
			}, true},
		"wrapped by an external one": {logical.ReadOperation, func(m *vaultname.Mount) { m.External = true },
			func(context.Context) (*logical.Response, error) {
				counter.Bump("logical/u/x")
				return nil, errors.New("put: " + logical.ErrReadOnly.Error())
			}, true},
		"in a response of an external one": {logical.ReadOperation, func(m *vaultname.Mount) { m.External = true },
			func(context.Context) (*logical.Response, error) {
				counter.Bump("logical/u/x")
				return logical.ErrorResponse("put: " + logical.ErrReadOnly.Error()), nil
			}, true},
		"an external one's other server": {logical.UpdateOperation, func(m *vaultname.Mount) { m.External = true },
			func(context.Context) (*logical.Response, error) {
				return nil, errors.New("the database says: " + logical.ErrReadOnly.Error())
			}, false},
		"an external one's stored text": {logical.ReadOperation, func(m *vaultname.Mount) { m.External = true },
			func(context.Context) (*logical.Response, error) {
				return &logical.Response{Data: map[string]any{"error": logical.ErrReadOnly.Error()}}, nil
			}, false},
		"swallowed by a write": {logical.UpdateOperation, nil, func(ctx context.Context) (*logical.Response,
			error) {
			noted(ctx)
			return here()
		}, true},
		"swallowed by a read": {logical.ReadOperation, nil, func(ctx context.Context) (*logical.Response,
			error) {
			noted(ctx)
			return here()
		}, false},
		"another error after a refusal": {logical.UpdateOperation, nil, func(ctx context.Context) (*logical.Response,
			error) {
			noted(ctx)
			return nil, errors.New("internal")
		}, true},
		"no refusal": {logical.UpdateOperation, nil,
			func(context.Context) (*logical.Response, error) { return here() }, false},
		"another error": {logical.UpdateOperation, nil,
			func(context.Context) (*logical.Response, error) { return nil, errors.New("no such role") }, false},
		"swallowed by an external one": {logical.UpdateOperation, func(m *vaultname.Mount) { m.External = true },
			func(context.Context) (*logical.Response, error) {
				counter.Bump("logical/u/x")
				return here()
			}, true},
		"counted for an in-process one": {logical.UpdateOperation, nil, func(context.Context) (*logical.Response, error) {
			counter.Bump("logical/u/x")
			return here()
		}, false},
		"counted for another mount": {logical.UpdateOperation, func(m *vaultname.Mount) {
			m.External, m.StoragePrefix = true,
				"logical/v/"
		}, func(context.Context) (*logical.Response, error) {
			counter.Bump("logical/u/x")
			return here()
		}, false},
		"local mount": {logical.UpdateOperation, func(m *vaultname.Mount) { m.Local = true },
			func(context.Context) (*logical.Response, error) { return nil, logical.ErrReadOnly }, false},
		"periodic job": {logical.RollbackOperation, nil, func(ctx context.Context) (*logical.Response,
			error) {
			noted(ctx)
			return nil, logical.ErrReadOnly
		}, false},
		"rotation": {logical.RotationOperation, nil,
			func(context.Context) (*logical.Response, error) { return nil, logical.ErrReadOnly }, false},
		"alias of a login to come": {logical.AliasLookaheadOperation, nil,
			func(context.Context) (*logical.Response, error) { return nil, logical.ErrReadOnly }, false},
		"an operation that is not known": {"dance", nil, func(context.Context) (*logical.Response, error) {
			return nil,
				logical.ErrReadOnly
		}, false},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			// Not parallel: the counter is one for all.
			p := &primary{answer: remote("primary")}
			m := secret
			if tt.mount != nil {
				tt.mount(&m)
			}
			b := Options{Forwarder: p, Refusals: &counter}.Wrap(m,
				&engine{do: func(ctx context.Context, _ *logical.Request) (*logical.Response, error) { return tt.do(ctx) }})
			resp, err := b.HandleRequest(context.Background(), &logical.Request{Operation: tt.op})
			if tt.forwards {
				require.NoError(t, err)
				require.Equal(t, "primary", from(resp))
				require.Len(t, p.got, 1)
				return
			}
			require.Empty(t, p.got)
			wantResp, wantErr := tt.do(context.Background())
			require.Equal(t, wantErr, err)
			require.Equal(t, wantResp, resp)
		})
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	p := &primary{answer: &wire.Answer{Response: &logical.Response{
		Secret: &logical.Secret{LeaseID: "of the primary", InternalData: map[string]any{"secret_type": "creds"}},
		Auth:   &logical.Auth{ClientToken: "hvs.primary", Accessor: "x", DisplayName: "d"},
	}}}
	b := Options{Forwarder: p}.Wrap(secret,
		&engine{do: func(_ context.Context, req *logical.Request) (*logical.Response, error) {
			req.Path = "mangled"
			req.Data["a"] = "mangled"
			req.Secret.InternalData["b"] = "mangled"
			return nil, logical.ErrReadOnly
		}})
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	req := &logical.Request{
		ID: "id", Operation: logical.UpdateOperation, Path: "x", MountPoint: "moved/",
		ClientToken: "hvs.secret", InboundSSCToken: "hvs.secret", ClientTokenAccessor: "accessor",
		Data: map[string]any{"a": 1}, EntityID: "e", DisplayName: "me", Storage: &logical.InmemStorage{},
		Secret:  &logical.Secret{LeaseID: "l", InternalData: map[string]any{"b": 2}},
		Headers: map[string][]string{"X-Ok": {"1"}, "Authorization": {"Bearer old-style-token"}},
		// At a backend the token itself is salted.
		ClientTokenSource: logical.ClientTokenFromAuthzHeader,
	}
	req.SetTokenEntry(&logical.TokenEntry{ID: "hvs.secret"})
	resp, err := b.HandleRequest(ctx, req)
	require.NoError(t, err)

	got := p.got[0]
	require.Equal(t, "moved/", got.MountPath, "a remount moves the entry with its wrapper")
	require.Equal(t, "u", got.MountUUID)
	require.Equal(t, "a", got.MountAccessor)
	require.Positive(t, got.Timeout)
	require.LessOrEqual(t, got.Timeout, time.Hour)
	require.Equal(t, "x", got.Logical.Path)
	require.Equal(t, map[string]any{"a": 1}, got.Logical.Data)
	require.Equal(t, map[string]any{"b": 2}, got.Logical.Secret.InternalData)
	require.Equal(t, "me", got.Logical.DisplayName)
	require.Equal(t, "e", got.Logical.EntityID)
	require.Equal(t, "accessor", got.Logical.ClientTokenAccessor)
	require.Empty(t, got.Logical.ClientToken)
	require.Empty(t, got.Logical.InboundSSCToken)
	require.Nil(t, got.Logical.Storage)
	require.Nil(t, got.Logical.TokenEntry())
	raw, err := wire.EncodeRequest(got)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "old-style-token")

	require.Empty(t, resp.Secret.LeaseID)
	require.Equal(t, "creds", resp.Secret.InternalData["secret_type"])
	require.Empty(t, resp.Auth.ClientToken)
	require.Empty(t, resp.Auth.Accessor)
	require.Equal(t, "d", resp.Auth.DisplayName)
}

// Errors must come to the client with their status and one sentence, through the
// lists of errors that the core makes.
func TestErrorsOfForwarding(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(context.Background())
	end()
	late, stop := context.WithTimeout(context.Background(), -time.Second)
	defer stop()
	tests := map[string]struct {
		ctx    context.Context
		p      *primary
		status int
		text   string
	}{
		"no connection": {context.Background(), &primary{err: errors.New("no session")}, http.StatusConflict,
			"no session"},
		"no answer": {context.Background(), &primary{}, http.StatusConflict, "empty"},
		"a coded one": {context.Background(),
			&primary{err: coded(http.StatusServiceUnavailable, "not applied yet")}, http.StatusServiceUnavailable,
			"not applied yet"},
		"read-only primary": {context.Background(), &primary{answer: &wire.Answer{Err: logical.ErrReadOnly}},
			http.StatusConflict, "demoted"},
		"the backend's own": {context.Background(), &primary{answer: &wire.Answer{Err: logical.ErrPermissionDenied}},
			http.StatusForbidden, "permission denied"},
		"deadline has passed":      {late, &primary{}, http.StatusConflict, "in time"},
		"the core's context ended": {ended, &primary{}, http.StatusConflict, "in time"},
		"not reached": {context.Background(),
			&primary{err: replication.Errorf(replication.Unreachable, "no session")}, http.StatusServiceUnavailable,
			"did not carry out"},
		"the link's deadline": {context.Background(),
			&primary{err: replication.Errorf(replication.Uncertain, "sent: %w", context.DeadlineExceeded)}, http.StatusConflict,
			"in time"},
		"too many": {context.Background(),
			&primary{err: replication.Errorf(replication.Unavailable, "too many")}, http.StatusServiceUnavailable, "too many"},
		"answer lost": {context.Background(), &primary{err: replication.Errorf(replication.Uncertain, "lost")},
			http.StatusConflict, "lost"},
		"cannot be sent": {context.Background(),
			&primary{err: replication.Errorf(replication.InvalidInput, "a snapshot")}, http.StatusBadRequest, "a snapshot"},
		"too large": {context.Background(),
			&primary{err: replication.Errorf(replication.InvalidInput, "%w",
				coded(http.StatusRequestEntityTooLarge, "too large"))},
			http.StatusRequestEntityTooLarge, "too large"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := Options{Forwarder: tt.p}.Wrap(secret,
				&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
					return nil, logical.ErrReadOnly
				}})
			_, err := b.HandleRequest(tt.ctx, &logical.Request{Operation: logical.UpdateOperation})
			require.Error(t, err)
			status, shown := logical.RespondErrorCommon(&logical.Request{Operation: logical.UpdateOperation}, nil,
				multierror.Append(nil, err))
			logical.AdjustErrorStatusCode(&status, shown)
			require.Equal(t, tt.status, status)
			require.ErrorContains(t, shown, tt.text)
		})
	}
	// What a client has stored on the primary, and what another server says there, is
	// passed on unchanged.
	for _, answer := range []*wire.Answer{
		{Response: &logical.Response{Data: map[string]any{"error": logical.ErrReadOnly.Error()}}},
		{Err: errors.New("the database says: " + logical.ErrReadOnly.Error())},
	} {
		resp, err := Options{Forwarder: &primary{answer: answer}}.Wrap(secret,
			&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
				return nil, logical.ErrReadOnly
			}}).HandleRequest(context.Background(), &logical.Request{Operation: logical.ReadOperation})
		require.Equal(t, answer.Response, resp)
		require.Equal(t, answer.Err, err)
	}
	// User lock-outs go by the identity of an error.
	p := &primary{answer: &wire.Answer{Err: logical.ErrInvalidCredentials}}
	_, err := Options{Forwarder: p}.Wrap(secret,
		&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
			return nil, logical.ErrReadOnly
		}}).HandleRequest(context.Background(), &logical.Request{Operation: logical.UpdateOperation})
	require.Same(t, logical.ErrInvalidCredentials, err)
}

// frozen is a link to a primary that never answers.
type frozen struct{}

func (frozen) Do(ctx context.Context, _ *wire.Request) (*wire.Answer, error) {
	<-ctx.Done()
	return nil, replication.Errorf(replication.Uncertain, "the answer was lost")
}

// Whatever ends the client's request ends its wait for the primary.
func TestClientIsNotHeldByAPrimaryThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := Options{Forwarder: frozen{}}.Wrap(secret,
			&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
				return nil, logical.ErrReadOnly
			}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		started := time.Now()
		_, err := b.HandleRequest(ctx, &logical.Request{Operation: logical.UpdateOperation})
		require.Equal(t, errLate, err)
		require.Equal(t, 5*time.Second, time.Since(started))
	})
}

func TestAfterAuth(t *testing.T) {
	t.Parallel()
	refuse := errors.New("the entity did not arrive")
	login := func() (*logical.Response, error) {
		return &logical.Response{Auth: &logical.Auth{Alias: &logical.Alias{Name: "n"}}}, nil
	}
	tests := map[string]struct {
		op     logical.Operation
		class  string
		local  bool
		remote bool
		resp   func() (*logical.Response, error)
		asked  bool
	}{
		"login":           {op: logical.UpdateOperation, class: "auth", resp: login, asked: true},
		"forwarded login": {op: logical.UpdateOperation, class: "auth", remote: true, asked: true},
		"login by a read": {op: logical.ReadOperation, class: "auth", resp: login, asked: true},
		"renewal":         {op: logical.RenewOperation, class: "auth", resp: login, asked: true},
		"local method":    {op: logical.UpdateOperation, class: "auth", local: true, resp: login, asked: true},
		"before a login":  {op: logical.AliasLookaheadOperation, class: "auth", resp: login},
		"no login":        {op: logical.UpdateOperation, class: "auth", resp: here},
		"a login that failed": {op: logical.UpdateOperation, class: "auth",
			resp: func() (*logical.Response, error) { return nil, errors.New("no") }},
		"secrets engine": {op: logical.UpdateOperation, class: "secret", resp: login},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			asked := 0
			answer, _ := login()
			o := Options{
				Forwarder: &primary{answer: &wire.Answer{Response: answer}},
				AfterAuth: func(_ context.Context, m vaultname.Mount, _ *logical.Request, resp *logical.Response) error {
					asked++
					require.Equal(t, "acc", m.Accessor)
					require.Equal(t, "n", resp.Auth.Alias.Name)
					return refuse
				},
			}
			b := o.Wrap(vaultname.Mount{Class: tt.class, Local: tt.local, Accessor: "acc"},
				&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
					if tt.remote {
						return nil, logical.ErrReadOnly
					}
					return tt.resp()
				}})
			resp, err := b.HandleRequest(context.Background(), &logical.Request{Operation: tt.op})
			if !tt.asked {
				require.Zero(t, asked)
				return
			}
			require.Equal(t, 1, asked)
			require.ErrorIs(t, err, refuse)
			require.Nil(t, resp, "no token may be made of a login that was refused")
		})
	}
}

func TestReloadIsTold(t *testing.T) {
	t.Parallel()
	told := make(chan struct{}, 1)
	cleaned := 0
	inner := &engine{Backend: framework.Backend{Clean: func(context.Context) { cleaned++ }}}
	b := Options{Replaced: func() { told <- struct{}{} }}.Wrap(secret, inner)
	require.Same(t, inner, b.(Wrapped).Unwrap())
	b.Cleanup(context.WithValue(context.Background(), plugin.ContextKeyPluginReload, "reload"))
	require.Eventually(t, func() bool { return len(told) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, cleaned)
}

func TestRulesNameEveryOperationOnce(t *testing.T) {
	t.Parallel()
	seen := map[logical.Operation]bool{}
	for _, r := range rules {
		require.False(t, seen[r.op], r.op)
		require.NotEmpty(t, r.why, r.op)
		seen[r.op] = true
	}
	require.Len(t, seen, 15, "Vault has this many operations")
}
