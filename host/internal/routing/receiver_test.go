// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/duty"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// core is a primary's core.
type core struct {
	ran       []string
	audited   []*logical.LogInput
	auditFail map[int]bool
	auditErr  error
	mounts    map[string]vaultname.Mount
	resp      *logical.Response
	err       error
	last      *logical.Request
	refuses   bool
}

func (c *core) Execute(ctx context.Context, req *logical.Request, path, uuid, accessor string) (*logical.Response,
	error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("no limit")
	}
	c.ran = append(c.ran, path+req.Path+" "+uuid+" "+accessor)
	c.last = req
	if c.refuses {
		refusal.Note(ctx)
	}
	return c.resp, c.err
}

func (c *core) AuditRequest(_ context.Context, in *logical.LogInput) error {
	c.audited = append(c.audited, in)
	if c.auditFail[len(c.audited)] && c.auditErr != nil {
		return c.auditErr
	}
	if c.auditFail[len(c.audited)] {
		return errors.New("disk full")
	}
	return nil
}

func (c *core) AuditResponse(ctx context.Context, in *logical.LogInput) error {
	return c.AuditRequest(ctx, in)
}

func (c *core) MountAt(path string) (vaultname.Mount, bool) {
	m, ok := c.mounts[path]
	return m, ok
}

func TestReceiverAdmits(t *testing.T) {
	t.Parallel()
	mounts := map[string]vaultname.Mount{
		"kv/":         {Path: "kv/", UUID: "kv"},
		"own/":        {Path: "own/", UUID: "own", Local: true},
		"hidden/":     {Path: "hidden/", UUID: "hidden"},
		"auth/own/":   {Path: "auth/own/", UUID: "aown", Local: true},
		"auth/token/": {Path: "auth/token/", UUID: "token", Type: "token"},
	}
	req := func(mount, uuid string, op logical.Operation, path string, data map[string]any) *wire.Request {
		return &wire.Request{MountPath: mount, MountUUID: uuid, MountAccessor: uuid,
			Logical: &logical.Request{Operation: op, Path: path, Data: data}}
	}
	up := logical.Operation(logical.UpdateOperation)
	tests := map[string]struct {
		in *wire.Request
		ok bool
	}{
		"write":                     {req("kv/", "kv", up, "a", nil), true},
		"revocation":                {req("kv/", "kv", logical.RevokeOperation, "a", nil), true},
		"periodic job":              {req("kv/", "kv", logical.RollbackOperation, "", nil), false},
		"unknown operation":         {req("kv/", "kv", "dance", "", nil), false},
		"filtered":                  {req("hidden/", "hidden", up, "a", nil), false},
		"no uuid":                   {req("kv/", "", up, "a", nil), false},
		"cubbyhole":                 {req("cubbyhole/", "c", up, "a", nil), false},
		"nothing":                   {nil, false},
		"empty":                     {&wire.Request{}, false},
		"policy":                    {req("sys/", "", up, "policy/p", nil), true},
		"policy with a uuid":        {req("sys/", "x", up, "policy/p", nil), true},
		"raw":                       {req("sys/", "", up, "raw/core/keyring", nil), false},
		"sys below a mount's name":  {req("sys/raw/", "", up, "core/keyring", nil), false},
		"group":                     {req("identity/", "", up, "group", nil), true},
		"token":                     {req("auth/token/", "", up, "create", nil), false},
		"mount":                     {req("sys/", "", up, "mounts/new", map[string]any{"type": "kv"}), true},
		"local mount":               {req("sys/", "", up, "mounts/new", map[string]any{"local": true}), false},
		"local in other words":      {req("sys/", "", up, "mounts/new", map[string]any{"local": "1"}), false},
		"local that cannot be read": {req("sys/", "", up, "mounts/new", map[string]any{"local": []string{"x"}}), false},
		"not local":                 {req("sys/", "", up, "mounts/new", map[string]any{"local": "false"}), true},
		"quota":                     {req("sys/", "", up, "quotas/rate-limit/q", map[string]any{"path": "kv/a"}), true},
		"quota on all":              {req("sys/", "", up, "quotas/rate-limit/q", map[string]any{"path": ""}), true},
		"quota on a filtered path": {req("sys/", "", up, "quotas/rate-limit/q", map[string]any{"path": "/hidden/"}),
			false},
		"quota on a local path":        {req("sys/", "", up, "quotas/rate-limit/q", map[string]any{"path": "own"}), false},
		"unmount":                      {req("sys/", "", logical.DeleteOperation, "mounts/kv", nil), true},
		"unmount of a local one":       {req("sys/", "", logical.DeleteOperation, "mounts/own", nil), false},
		"that one, written so":         {req("sys/", "", logical.DeleteOperation, `mounts//\/own/`, nil), false},
		"tune of a local one":          {req("sys/", "", up, "mounts/own/tune", nil), false},
		"tune of a filtered one":       {req("sys/", "", up, "mounts/hidden/tune", nil), false},
		"tune of tokens":               {req("sys/", "", up, "mounts/auth/token/tune", nil), true},
		"local method":                 {req("sys/", "", logical.DeleteOperation, "auth/own", nil), false},
		"local method, written so":     {req("sys/", "", logical.DeleteOperation, "auth//own", nil), false},
		"tune of a local method":       {req("sys/", "", up, "auth/own/tune", nil), false},
		"tune of it among the mounts":  {req("sys/", "", up, "mounts/auth/own/tune", nil), false},
		"remount of a local one":       {req("sys/", "", up, "remount", map[string]any{"from": "/own", "to": "x"}), false},
		"remount":                      {req("sys/", "", up, "remount", map[string]any{"from": "kv", "to": "x"}), true},
		"audit device":                 {req("sys/", "", up, "audit/file", nil), false},
		"end of an audit device":       {req("sys/", "", logical.DeleteOperation, "audit/own", nil), false},
		"the same, written so":         {req("sys/", "", logical.DeleteOperation, "audit//own/", nil), false},
		"local audit device":           {req("sys/", "", up, "audit/new", map[string]any{"local": 1}), false},
		"prefix and operation unnamed": {req("sys/", "", logical.ReadOperation, "policy/p", nil), false},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := &core{mounts: mounts}
			r := &Receiver{Core: c, Allowed: func(id, uuid string) bool {
				return id == "west" && uuid != "hidden" &&
					uuid != "token"
			}}
			a := r.Handle(context.Background(), "west", tt.in)
			if tt.ok {
				require.NoError(t, a.Err)
				require.Len(t, c.ran, 1)
				require.Len(t, c.audited, 2)
				return
			}
			require.Error(t, a.Err)
			require.Empty(t, c.ran)
		})
	}
}

func TestReceiverRunsAndAudits(t *testing.T) {
	t.Parallel()
	in := func() *wire.Request {
		req := &logical.Request{ID: "id", Operation: logical.UpdateOperation, Path: "a/b", ClientToken: "hvs.x",
			EntityID: "e", DisplayName: "me", ClientTokenAccessor: "acc", MountType: "made up", MountAccessor: "made up",
			MFACreds: logical.MFACreds{"m": nil}}
		req.SetTokenEntry(&logical.TokenEntry{})
		req.SetMountClass("made up")
		req.SetMountRunningVersion("made up")
		return &wire.Request{MountPath: "kv/", MountUUID: "u", MountAccessor: "ac", Logical: req}
	}
	c := &core{resp: logical.ErrorResponse("no"), err: logical.ErrInvalidCredentials,
		mounts: map[string]vaultname.Mount{"kv/": {Path: "kv/", Class: "secret", Type: "kv", Accessor: "ac", UUID: "u"}}}
	a := (&Receiver{Core: c}).Handle(context.Background(), "west", in())
	require.Same(t, logical.ErrInvalidCredentials, a.Err)
	require.Equal(t, c.resp, a.Response)
	require.Equal(t, []string{"kv/a/b u ac"}, c.ran)
	require.Empty(t, c.last.ClientToken)
	require.Nil(t, c.last.TokenEntry())
	require.Nil(t, c.last.MFACreds)

	request, response := c.audited[0], c.audited[1]
	require.Equal(t, "kv/a/b", request.Request.Path)
	require.Equal(t, "west", request.Request.ReplicationCluster)
	require.Contains(t, request.Request.ForwardedFrom, "west")
	require.Equal(t, "me", request.Auth.DisplayName)
	require.Equal(t, "e", request.Auth.EntityID)
	require.Equal(t, "acc", request.Auth.Accessor)
	require.Equal(t, []string{"kv", "ac", "secret", ""}, []string{request.Request.MountType, request.Request.MountAccessor,
		request.Request.MountClass(), request.Request.MountRunningVersion()}, "the mount is as the primary knows it")
	require.Nil(t, request.Response)
	require.Equal(t, c.resp, response.Response)
	require.Same(t, logical.ErrInvalidCredentials, response.OuterErr)

	blind := &core{auditFail: map[int]bool{1: true}}
	a = (&Receiver{Core: blind}).Handle(context.Background(), "west", in())
	require.ErrorContains(t, a.Err, "cannot audit the request")
	require.Empty(t, blind.ran, "what cannot be audited is not run")

	withheld := &core{auditFail: map[int]bool{2: true}, resp: &logical.Response{Data: map[string]any{"secret": 1}}}
	a = (&Receiver{Core: withheld}).Handle(context.Background(), "west", in())
	require.ErrorContains(t, a.Err, "cannot audit the response")
	require.Nil(t, a.Response)
	var e *logical.ReplicationCodedError
	require.ErrorAs(t, a.Err, &e)
	require.Equal(t, http.StatusConflict, e.Code)
}

// A primary that is on its way out says so, and whether it carried the request out,
// and does not blame its audit devices. The secondary must not take it for its own state:
// Vault would call itself sealed, or send the client to another node.
func TestReceiverThatStopsServing(t *testing.T) {
	t.Parallel()
	const not, perhaps = "did not carry", "may have"
	answerOf := func(t *testing.T, c *core, text string) {
		t.Helper()
		a := (&Receiver{Core: c}).Handle(t.Context(), "west", &wire.Request{
			MountPath: "kv/", MountUUID: "kv", MountAccessor: "kv", Logical: &logical.Request{Operation: logical.UpdateOperation,
				Path: "a"},
		})
		var own *logical.ReplicationCodedError
		require.ErrorAs(t, a.Err, &own)
		require.Equal(t, map[string]int{not: http.StatusServiceUnavailable, perhaps: http.StatusConflict}[text], own.Code)
		require.ErrorContains(t, own, text)
		require.Nil(t, a.Response)
		for _, ends := range []error{consts.ErrSealed, consts.ErrStandby} {
			require.NotContains(t, own.Error(), ends.Error())
		}
	}
	for _, ends := range []error{consts.ErrSealed, consts.ErrStandby, duty.ErrEnds, context.Canceled,
		&duty.Away{Err: consts.ErrSealed}} {
		for call, text := range map[int]string{1: not, 2: perhaps} {
			answerOf(t, &core{auditFail: map[int]bool{call: true}, auditErr: fmt.Errorf("audit: %w", ends)}, text)
		}
	}
	for _, ends := range []error{consts.ErrSealed, consts.ErrStandby, duty.ErrEnds} {
		answerOf(t, &core{err: &duty.Away{Err: ends}}, not)
		answerOf(t, &core{err: &duty.Away{Begun: true, Err: fmt.Errorf("put: %w", ends)}, resp: &logical.Response{}}, perhaps)
		both := map[int]bool{2: true}
		answerOf(t, &core{err: &duty.Away{Err: ends}, auditFail: both, auditErr: &duty.Away{Err: ends}}, not)
		answerOf(t, &core{err: &duty.Away{Begun: true, Err: ends}, auditFail: both, auditErr: &duty.Away{Err: ends}}, perhaps)
	}
}

// A request that was given up at its deadline may have been carried out.
func TestReceiverWhoseTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowCore{core{err: errors.New("i/o timeout")}}
		started := time.Now()
		a := (&Receiver{Core: slow}).Handle(t.Context(), "west", &wire.Request{
			MountPath: "kv/", MountUUID: "kv", MountAccessor: "kv", Timeout: 7 * time.Second,
			Logical: &logical.Request{Operation: logical.UpdateOperation, Path: "a"},
		})
		require.Equal(t, errLate, a.Err)
		require.Equal(t, 7*time.Second, time.Since(started), "the secondary's limit holds")
		require.Len(t, slow.audited, 2)
	})
}

// slowCore is a core whose backend goes on until its context ends.
type slowCore struct{ core }

func (c *slowCore) Execute(ctx context.Context, _ *logical.Request, _, _, _ string) (*logical.Response, error) {
	<-ctx.Done()
	return nil, c.err
}

// A primary that was demoted says so; one whose backend talks to a server that cannot
// write, or that stores such a text, does not.
func TestReceiverThatCannotWrite(t *testing.T) {
	t.Parallel()
	text := logical.ErrReadOnly.Error()
	tests := map[string]struct {
		c       core
		op      logical.Operation
		demoted bool
	}{
		"the error":              {core{err: fmt.Errorf("put: %w", logical.ErrReadOnly)}, logical.ReadOperation, true},
		"of a plugin":            {core{err: errors.New(text)}, logical.ReadOperation, true},
		"as text":                {core{err: errors.New("put: " + text), refuses: true}, logical.ReadOperation, true},
		"in a response":          {core{resp: logical.ErrorResponse(text), refuses: true}, logical.ReadOperation, true},
		"swallowed by a write":   {core{refuses: true}, logical.UpdateOperation, true},
		"swallowed by a read":    {core{resp: &logical.Response{}, refuses: true}, logical.ReadOperation, false},
		"text of another server": {core{err: errors.New("the database says: " + text)}, logical.UpdateOperation, false},
		"what a client has stored": {core{resp: &logical.Response{Data: map[string]any{"error": text}}},
			logical.ReadOperation, false},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := tt.c
			a := (&Receiver{Core: &c}).Handle(t.Context(), "west", &wire.Request{
				MountPath: "kv/", MountUUID: "kv", MountAccessor: "kv", Logical: &logical.Request{Operation: tt.op, Path: "a"},
			})
			if tt.demoted {
				require.Equal(t, errPrimaryReadOnly, a.Err)
				require.Nil(t, a.Response)
				require.Equal(t, errPrimaryReadOnly, c.audited[1].OuterErr)
				return
			}
			require.Equal(t, tt.c.err, a.Err)
			require.Equal(t, tt.c.resp, a.Response)
		})
	}
}
